"""The catalogue of mistakes in a declaration: each gets its own error, in four parts, at the user's line.

Each case is a file as a user would write it, loaded as Trimtab loads it. ``# !`` marks the line that must be named.
"""

# A case stands on one line where it can, as a user would write it.
# ruff: noqa: E501, ISC004

import re
from pathlib import Path

import pytest

from trimtab.declare import (
    BadColumn,
    BadContract,
    BadDuration,
    BadModel,
    BadPolicy,
    BadProject,
    BadPromise,
    BadRollout,
    BadSource,
    BadText,
    BadView,
    NotYesOrNo,
    ProjectNotFound,
    UnknownField,
    UnknownWord,
    load_project,
)
from trimtab.kernel import Invalid, TrimtabError

PRELUDE = """
import trimtab as tt

class Weather(tt.Contract):
    origin: tt.Key[str]
    at: tt.EventTime
    temp: tt.Float

class Flight(tt.Contract):
    flight_id: tt.Key[str]
    number: tt.Int
    scheduled: tt.EventTime
    origin: tt.Category = tt.one_of("EWR", "JFK", "LGA")
    carrier: tt.Category
    distance: tt.Float
    arrived: tt.Time
    arr_delay: tt.Float = tt.known_at("arrived")

@tt.source(Weather)
def weather(): ...

@tt.source(Flight)
def flights(): ...

def view(**parts):
    own = dict(of=Flight, decided=Flight.scheduled, columns=[Flight.carrier])
    return tt.features("delay", **{**own, **parts})

@tt.model(view(), label=Flight.arr_delay > 15)
def late(X, y): ...

@tt.model(tt.features("length", of=Flight, decided=Flight.scheduled, columns=[Flight.carrier]), label=Flight.arr_delay)
def length(X, y): ...
"""

CONTRACTS = {
    "no key": (BadContract, "tt.Key[str]", "class C(tt.Contract):  # !\n    at: tt.EventTime"),
    "no event time": (BadContract, "at: tt.EventTime", "class C(tt.Contract):  # !\n    id: tt.Key[str]"),
    "two event times": (
        BadContract, "then: tt.Time",
        "class C(tt.Contract):\n    id: tt.Key[str]\n    at: tt.EventTime\n    then: tt.EventTime  # !",
    ),
    "a plain type": (BadContract, "x: tt.Float", "class C(tt.Contract):\n    id: tt.Key[str]\n    x: float  # !"),
    "an optional type": (BadContract, "x: tt.Float", "class C(tt.Contract):\n    x: tt.Float | None  # !"),
    "a key of floats": (BadContract, "tt.Key[int]", "class C(tt.Contract):\n    id: tt.Key[float]  # !"),
    "a type in text that is nowhere": (BadContract, "tt.Float", "class C(tt.Contract):\n    x: 'tt.Flaot'  # !"),
    "a type that is no word": (UnknownWord, "write tt.Float", "class C(tt.Contract):\n    x: tt.Flaot  # !"),
    "a promise without a type": (BadContract, "x: tt.Float = ...", "class C(tt.Contract):  # !\n    x = tt.between(0, 1)"),
    "a type and a default": (BadContract, "or nothing", "class C(tt.Contract):\n    x: tt.Float = 3.0  # !"),
    "a private field": (BadContract, "rename", "class C(tt.Contract):\n    _x: tt.Float  # !"),
    "a field called latest": (BadContract, "rename", "class C(tt.Contract):\n    latest: tt.Float  # !"),
    "a row made of a contract": (BadContract, "@tt.source(Flight)", "Flight(flight_id='AA1')  # !"),
    "a field set later": (BadContract, "into class Flight", "Flight.speed = tt.Float()  # !"),
    "an unknown field": (UnknownField, "write Flight.arr_delay", "Flight.arr_dealy  # !"),
    "bounds turned round": (BadPromise, "tt.between(0, 120)", "tt.between(120, 0)  # !"),
    "a bound that is no number": (BadPromise, "tt.between(0, 120)", "tt.between(0, None)  # !"),
    "a bound that is not finite": (BadPromise, "tt.between(0, 120)", "tt.between(0, float('inf'))  # !"),
    "a bound that no float holds": (BadPromise, "write 9007199254740992", "tt.between(0, 2**53 + 1)  # !"),
    "percent for a share": (BadPromise, "missing=0.08", "tt.known_at('arrived', missing=8)  # !"),
    "no share": (BadPromise, "missing=0.01", "tt.missing('few')  # !"),
    "one of nothing": (BadPromise, "tt.one_of(", "tt.one_of()  # !"),
    "one of numbers": (BadPromise, "tt.one_of(", "tt.one_of(1, 2)  # !"),
    "one of the same": (BadPromise, "once", "tt.one_of('EWR', 'EWR')  # !"),
    "one of nothing visible": (BadPromise, "missing=0.1", "tt.one_of('EWR', ' ')  # !"),
    "known at a column, not its name": (BadPromise, "tt.known_at(", "tt.known_at(Flight.arrived)  # !"),
    "known at no column": (
        BadPromise, "known_at then",
        "class C(tt.Contract):\n    id: tt.Key[str]\n    at: tt.EventTime\n    then: tt.Time\n"
        "    x: tt.Float = tt.known_at('thn')  # !",
    ),
    "known at no time": (
        BadPromise, "one of the times: at",
        "class C(tt.Contract):\n    id: tt.Key[str]\n    at: tt.EventTime\n    y: tt.Float\n"
        "    x: tt.Float = tt.known_at('y')  # !",
    ),
    "a range of texts": (BadPromise, "the type of x", "class C(tt.Contract):\n    x: tt.Category = tt.between(0, 1)  # !"),
    "values of numbers": (BadPromise, "the type of x", "class C(tt.Contract):\n    x: tt.Float = tt.one_of('a')  # !"),
    "a key that may be missing": (
        BadPromise, "leave the promise out", "class C(tt.Contract):\n    x: tt.Key[str] = tt.missing(0.1)  # !"
    ),
    "an event time known later": (
        BadPromise, "leave the promise out", "class C(tt.Contract):\n    x: tt.EventTime = tt.known_at('x')  # !"
    ),
}  # fmt: skip

SOURCES = {
    "a source of no contract": (BadContract, "class Flight(tt.Contract)", "tt.source('Flight', path='a.csv')  # !"),
    "a source of the base": (BadContract, "class Flight(tt.Contract)", "tt.source(tt.Contract)  # !"),
    "a path and a query": (BadSource, "path=... or sql=...", "tt.source(Flight, path='a.csv', sql='SELECT 1')  # !"),
    "an empty query": (BadSource, "SELECT", "tt.source(Flight, sql='  ')  # !"),
    "percent for a share of rows": (BadSource, "set_aside=0.01", "tt.source(Flight, set_aside=1.5)  # !"),
    "a name with a space": (BadSource, "name=", "tt.source(Flight, path='a.csv', name='all flights')  # !"),
    "every hour as a number": (BadDuration, 'every="1h"', "tt.source(Flight, every=1)  # !"),
    "a source above a class": (BadSource, "def flights()", "@tt.source(Flight)  # !\nclass A: ..."),
    "a source of a lambda": (BadSource, "def flights()", "tt.source(Flight)(lambda: None)  # !"),
    "a source with arguments": (BadSource, "a default", "@tt.source(Flight)  # !\ndef all(folder): ..."),
}

COLUMNS = {
    "a misspelt method": (UnknownWord, "write mean", "Flight.arr_delay.maen(over='24h', by='carrier')  # !"),
    "an unknown part of a time": (UnknownWord, "write hour", "Flight.scheduled.hours  # !"),
    "the mean of a category": (BadColumn, ".count(", "Flight.carrier.mean(over='24h', by='origin')  # !"),
    "the mean of a time": (BadColumn, ".count(", "Flight.arrived.mean(over='24h', by='origin')  # !"),
    "a window without a unit": (BadDuration, 'over="24h"', "Flight.arr_delay.mean(over=24, by='carrier')  # !"),
    "a window of no duration": (BadDuration, "over=", "Flight.arr_delay.mean(over='one day', by='carrier')  # !"),
    "by nothing": (BadColumn, "by=", "Flight.arr_delay.mean(over='24h', by=[])  # !"),
    "by no field": (UnknownField, "write carrier", "Flight.arr_delay.mean(over='24h', by='carier')  # !"),
    "by a column": (UnknownField, 'write "carrier"', "Flight.arr_delay.mean(over='24h', by=Flight.carrier)  # !"),
    "by a number with a fraction": (BadColumn, "category", "Flight.arr_delay.mean(over='24h', by='distance')  # !"),
    "the latest of nothing": (BadColumn, "Weather.latest('temp'", "Weather.latest(by='origin')  # !"),
    "the latest of no field": (UnknownField, "write temp", "Weather.latest('tmp', by='origin')  # !"),
    "the latest twice": (BadColumn, "once", "Weather.latest('temp', 'temp', by='origin')  # !"),
    "the latest time": (BadColumn, "leave at out", "Weather.latest('at', by='origin')  # !"),
    "the latest within nonsense": (BadDuration, "within=", "Weather.latest('temp', by='origin', within='3')  # !"),
    "a category and a number": (BadColumn, "tt.Float or tt.Int", "Flight.carrier > 15  # !"),
    "a category equal to a number": (BadColumn, "a text", "Flight.carrier == 15  # !"),
    "a number equal to a text": (BadColumn, "a number", "Flight.arr_delay == 'late'  # !"),
    "a value that was not promised": (BadColumn, "write JFK", "Flight.origin == 'JFL'  # !"),
    "a time compared": (BadColumn, ".hour", "Flight.arrived == 15  # !"),
    "a comparison with nothing": (BadColumn, "count", "Flight.arr_delay == None  # !"),
    "a comparison with not-a-number": (BadColumn, "count", "Flight.arr_delay > float('nan')  # !"),
    "a category added": (BadColumn, "number", "Flight.carrier + 1  # !"),
    "a number and a category added": (BadColumn, "tt.Float or tt.Int", "Flight.distance + Flight.carrier  # !"),
    "two times subtracted": (BadColumn, "in the source", "Flight.arrived - Flight.scheduled  # !"),
    "a time minus a number": (BadDuration, "tt.hours(2)", "Flight.scheduled - 2  # !"),
    "comparisons joined": (BadColumn, "tt.Bool", "(Flight.arr_delay > 15) & (Flight.distance > 100)  # !"),
    "comparisons joined by and": (NotYesOrNo, "tt.Bool", "Flight.arr_delay > 15 and Flight.distance > 100  # !"),
    "a chain of column comparisons": (NotYesOrNo, "tt.Bool", "0 < Flight.arr_delay < 15  # !"),
    "a column in an if": (NotYesOrNo, "tt.Bool", "if Flight.arr_delay > 15:  # !\n    pass"),
    "a name for a plain column": (BadColumn, "the name it has", "Flight.carrier.named('airline')  # !"),
    "a name for a named column": (BadColumn, "the name it has", "(Flight.distance / 2).named('a').named('b')  # !"),
    "a bad name": (BadColumn, "tt.column(", "tt.column('a b', Flight.distance / 2)  # !"),
    "no length of time": (BadDuration, "tt.hours(2)", "tt.hours(-2)  # !"),
}

VIEWS = {
    "no moment": (BadView, "decided=Flight.scheduled", "view(decided='scheduled')", 0),
    "no time": (BadView, "decided=Flight.scheduled", "view(decided=Flight.distance)", 0),
    "another contract's time": (BadView, "decided=Flight.scheduled", "view(decided=Weather.at)", 0),
    "no columns": (BadView, "at least one column", "view(columns=[])", 0),
    "columns in no list": (BadView, "columns=[...]", "view(columns=Flight.carrier)", 0),
    "a column as text": (BadView, "Flight.carrier", "view(columns=['carrier'])", 0),
    "a contract as a column": (BadView, "Flight.carrier", "view(columns=[Flight])", 0),
    "another contract's field": (BadView, 'Weather.latest("temp"', "view(columns=[Weather.temp])  # !", 1),
    "another contract's hour": (BadView, "Weather.latest(", "view(columns=[Weather.at.hour])  # !", 1),
    "a bare time": (BadView, "Flight.scheduled.hour", "view(columns=[Flight.scheduled])  # !", 1),
    "no name": (BadView, ".named(", "view(columns=[Flight.distance / 60])  # !", 1),
    "a comparison without a name": (BadView, ".named(", "view(columns=[Flight.distance > 60])  # !", 1),
    "the same column twice": (BadView, "leave one of them out", "view(columns=[Flight.carrier, Flight.carrier])", 0),
    "two columns of one name": (
        BadView, ".named(", "view(columns=[Flight.carrier, (Flight.distance / 2).named('carrier')])", 0
    ),
    "a reserved name": (BadView, "rename", "view(columns=[(Flight.distance / 2).named('label')])", 0),
    "by what the row has not": (
        BadView, "at",
        "class Gate(tt.Contract):\n    gate: tt.Key[str]\n    at: tt.EventTime\n    load: tt.Float\n"
        "view(columns=[Gate.latest('load', by='gate')])  # !", 1,
    ),
    "by fields of two kinds": (
        BadView, "one type",
        "class Gate(tt.Contract):\n    number: tt.Key[str]\n    at: tt.EventTime\n    load: tt.Float\n"
        "view(columns=[Gate.latest('load', by='number')])  # !", 1,
    ),
    "a bad name of the view": (
        BadView, 'tt.features("delay"',
        "tt.features('my view', of=Flight, decided=Flight.scheduled, columns=[Flight.carrier])  # !", 1,
    ),
    "a description that is no text": (BadText, "description=", "view(description=None)", 0),
    "of no contract": (
        BadContract, "pass Flight", "tt.features('v', of=flights, decided=Flight.scheduled, columns=[])  # !", 1
    ),
}  # fmt: skip

MODELS = {
    "no view": (BadModel, "tt.features", "tt.model(Flight, label=Flight.arr_delay > 15)  # !"),
    "no label": (BadModel, "label=Flight.arr_delay > 15", "tt.model(view(), label='late')  # !"),
    "another contract's label": (BadModel, "a field of Flight", "tt.model(view(), label=Weather.temp > 15)  # !"),
    "an aggregate as label": (
        BadModel, "label=", "tt.model(view(), label=Flight.arr_delay.mean(over='1h', by='carrier') > 15)  # !"
    ),
    "the latest as label": (BadModel, "label=", "tt.model(view(), label=Weather.latest('temp', by='origin'))  # !"),
    "a category as label": (BadModel, "compare it", "tt.model(view(), label=Flight.carrier)  # !"),
    "a time as label": (BadModel, "in the source", "tt.model(view(), label=Flight.arrived)  # !"),
    "a calculation as label": (BadModel, "compare it", "tt.model(view(), label=Flight.arr_delay / 60)  # !"),
    "a span of no length": (BadDuration, "last 14 days", "tt.model(view(), label=Flight.arr_delay, train='recently')  # !"),
    "a test on all history": (BadModel, "last 14 days", "tt.model(view(), label=Flight.arr_delay, test='all history')  # !"),
    "no quantile": (BadModel, "quantile=0.9", "tt.model(view(), label=Flight.arr_delay, quantile=1)  # !"),
    "quantile of a yes": (BadModel, "leave", "tt.model(view(), label=Flight.arr_delay > 15, quantile=0.9)  # !"),
    "no seed": (BadModel, "seed=7", "tt.model(view(), label=Flight.arr_delay, seed=-1)  # !"),
    "a model above a class": (BadModel, "def late(X, y)", "@tt.model(view(), label=Flight.arr_delay)  # !\nclass A: ..."),
    "a model without rows": (BadModel, "def a(X, y", "@tt.model(view(), label=Flight.arr_delay)  # !\ndef a(X): ..."),
    "a parameter without default": (
        BadModel, "depth=...", "@tt.model(view(), label=Flight.arr_delay)  # !\ndef a(X, y, depth): ..."
    ),
    "parameters without names": (
        BadModel, "default", "@tt.model(view(), label=Flight.arr_delay)  # !\ndef a(X, y, **more): ..."
    ),
    "a parameter that cannot be recorded": (
        BadModel, "plain value", "@tt.model(view(), label=Flight.arr_delay)  # !\ndef a(X, y, z=object): ..."
    ),
    "nothing good enough": (BadPolicy, "late.accept_if(tt.auc >= 0.65)", "late.accept_if()  # !"),
    "a truth for a condition": (BadPolicy, "tt.auc >= 0.65", "late.accept_if(True)  # !"),
    "a metric for a condition": (BadPolicy, "tt.auc >= 0.65", "late.accept_if(tt.auc)  # !"),
    "either of two accepted": (BadPolicy, "by itself", "late.accept_if((tt.auc > 0.6) | (tt.f1 > 0.5))  # !"),
    "time accepted": (BadPolicy, "retrain_when", "late.accept_if(tt.every('30d'))  # !"),
    "drift accepted": (BadPolicy, "retrain_when", "late.accept_if(tt.drift.of_prediction < 0.1)  # !"),
    "a window accepted": (BadPolicy, "retrain_when", "late.accept_if(tt.log_loss.over('7d') < 0.5)  # !"),
    "the approval accepted": (BadPolicy, "tt.champion", "late.accept_if(tt.auc >= tt.at_approval)  # !"),
    "a regression's metric": (BadPolicy, "auc", "late.accept_if(tt.rmse <= 10)  # !"),
    "a classification's metric": (BadPolicy, "rmse", "length.accept_if(tt.auc >= 0.65)  # !"),
    "slices of no field": (BadPolicy, "by=carrier", "late.accept_if(tt.auc.worst(by='carier') >= 0.6)  # !"),
    "slices of a number": (BadPolicy, "one of these", "late.accept_if(tt.recall.gap(by='distance') <= 0.2)  # !"),
    "accepted twice": (BadModel, "one accept_if", "late.accept_if(tt.auc >= 0.6)\nlate.accept_if(tt.f1 >= 0.6)  # !"),
    "drift of no column": (
        BadPolicy, "write carrier", "late.retrain_when(tt.drift.of('carier') > 0.2)  # !"
    ),
    "the champion against itself": (
        BadPolicy, "tt.at_approval", "late.retrain_when(tt.log_loss > tt.champion.log_loss)  # !"
    ),
    "rolled back by time": (BadPolicy, "retrain_when", "late.serve(roll_back_if=tt.every('1d'))  # !"),
    "rolled back if nothing": (BadPolicy, "tt.errors > 0.01", "late.serve(roll_back_if=0.01)  # !"),
    "no rollout": (BadRollout, "rollout=", "late.serve(rollout='canary')  # !"),
    "a rollout without end": (BadRollout, ">> tt.full", "late.serve(rollout=tt.shadow('1d'))  # !"),
    "sticky by no field": (UnknownField, "write carrier", "late.serve(sticky_by='carier')  # !"),
    "broken rows left to chance": (BadModel, 'broken_rows="flag"', "late.serve(broken_rows='ignore')  # !"),
    "a frequency of no length": (
        BadDuration, "once a week", "late.retrain_when(tt.every('30d'), at_most='once a while')  # !"
    ),
    "an approver as text": (
        BadModel, "tt.by('ops-lead')", "late.retrain_when(tt.every('30d'), approve='ops-lead')  # !"
    ),
    "an owner that is no text": (BadText, "owner=", "tt.model(view(), label=Flight.arr_delay, owner=7)  # !"),
    "an owner as long as a book": (BadText, "owner=", "tt.model(view(), label=Flight.arr_delay, owner='x' * 201)  # !"),
    "nobody": (BadModel, "tt.by(", "tt.by('')  # !"),
}  # fmt: skip

POLICIES = {
    "an unknown word": (UnknownWord, "write tt.log_loss", "tt.logloss  # !"),
    "an unknown metric of the champion": (UnknownWord, "write tt.champion.auc", "tt.champion.acu  # !"),
    "an unknown quantile": (UnknownWord, "one of these", "tt.latency.p42  # !"),
    "an unknown kind of drift": (UnknownWord, "of_prediction", "tt.drift.of_predictions  # !"),
    "an unknown method": (UnknownWord, "write worst", "tt.auc.wrst(by='carrier')  # !"),
    "or": (NotYesOrNo, "(tt.auc < 0.5) | (tt.errors > 0.1)", "tt.auc < 0.5 or tt.errors > 0.1  # !"),
    "and": (NotYesOrNo, "(tt.auc < 0.5) & (tt.errors > 0.1)", "tt.auc < 0.5 and tt.errors > 0.1  # !"),
    "not": (NotYesOrNo, "write tt.auc >= 0.5", "not tt.auc < 0.5  # !"),
    "a chain": (NotYesOrNo, "(0.5 <= tt.auc) & (tt.auc <= 0.9)", "0.5 <= tt.auc <= 0.9  # !"),
    "an if": (NotYesOrNo, "| and &", "x = 1 if tt.auc > 0.5 else 2  # !"),
    "or over lines": (
        NotYesOrNo, "(tt.auc < 0.5) | (tt.errors > 0.1)", "x = (\n    tt.auc < 0.5  # !\n    or tt.errors > 0.1\n)"
    ),
    "turned round": (BadPolicy, "the opposite comparison", "~(tt.auc > 0.5)  # !"),
    "no parentheses": (BadPolicy, "in parentheses", "tt.errors > 0.01 | tt.log_loss > 2  # !"),
    "half a condition": (BadPolicy, "in parentheses", "(tt.errors > 0.01) | tt.log_loss  # !"),
    "exactly": (BadPolicy, "tt.auc >= 0.65", "tt.auc == 0.65  # !"),
    "a latency without a unit": (BadPolicy, '"20ms"', "tt.latency.p99 <= 20  # !"),
    "a latency in parsecs": (BadPolicy, '"20ms"', "tt.latency.p99 <= '20 parsecs'  # !"),
    "percent for an auc": (BadPolicy, "0.65", "tt.auc >= 65  # !"),
    "a threshold that is not a number": (BadPolicy, "for example", "tt.log_loss <= float('nan')  # !"),
    "a threshold in words": (BadPolicy, "for example", "tt.auc >= 'good'  # !"),
    "two metrics compared": (BadPolicy, "tt.champion.auc", "tt.auc >= tt.champion.log_loss  # !"),
    "a metric with itself": (BadPolicy, "tt.champion.auc", "tt.auc >= tt.auc  # !"),
    "the champion alone": (BadPolicy, "tt.log_loss <= tt.champion.log_loss", "tt.champion.auc >= 0.5  # !"),
    "slices against the whole": (BadPolicy, "worst", "tt.auc.worst(by='carrier') >= tt.champion.auc  # !"),
    "a difference of metrics": (BadPolicy, "+ 0.01", "tt.log_loss - tt.champion.log_loss <= 0.1  # !"),
    "times nothing": (BadPolicy, "greater than 0", "tt.champion.auc * 0  # !"),
    "times a text": (BadPolicy, "* 1.03", "tt.champion.auc * '2'  # !"),
    "slices of latency": (BadPolicy, "tt.recall.gap", "tt.latency.p99.worst(by='carrier')  # !"),
    "slices of slices": (BadPolicy, "tt.recall.gap", "tt.auc.worst(by='carrier').gap(by='origin')  # !"),
    "chance beyond no gap": (BadPolicy, "tt.recall.gap", "tt.auc.worst(by='carrier').beyond_chance  # !"),
    "slices by a column": (BadPolicy, 'by="carrier"', "tt.auc.worst(by=Flight.carrier)  # !"),
    "slices of half a row": (BadPolicy, "at_least=1000", "tt.auc.worst(by='carrier', at_least=0.5)  # !"),
    "a window of the champion": (BadPolicy, ".over(", "tt.champion.auc.over('7d')  # !"),
    "drift of nothing": (BadPolicy, "drift.of(", "tt.drift.of('')  # !"),
    "any of nothing": (BadPolicy, "tt.any_of(", "tt.any_of()  # !"),
    "every so often": (BadDuration, "every=", "tt.every('so often')  # !"),
    "full is no function": (BadRollout, "tt.full", "tt.full()  # !"),
    "a canary of all": (BadRollout, "tt.full", "tt.canary(5, 150, each='1h')  # !"),
    "a canary of none": (BadRollout, "tt.canary(5", "tt.canary(each='1h')  # !"),
    "a canary that shrinks": (BadRollout, "tt.canary(5", "tt.canary(50, 25, each='1h')  # !"),
    "a canary of words": (BadRollout, "tt.canary(5", "tt.canary('5%', each='1h')  # !"),
    "a shadow without a unit": (BadDuration, "shadow=", "tt.shadow(1)  # !"),
    "shadow after canary": (BadRollout, "tt.shadow", "tt.canary(5, each='1h') >> tt.shadow('1d')  # !"),
    "stages joined by and": (NotYesOrNo, "tt.shadow", "tt.shadow('1d') and tt.full  # !"),
    "drift of what": (BadPolicy, "tt.drift.of_prediction", "tt.drift > 0.1  # !"),
    "latency of what": (BadPolicy, "tt.latency.p99", "tt.latency <= '20ms'  # !"),
    "the champion's what": (BadPolicy, "tt.champion.log_loss", "tt.champion * 1.1  # !"),
    "a stage that is none": (BadRollout, "tt.full", "tt.shadow('1d') >> 'full'  # !"),
}  # fmt: skip

PROJECTS = {
    "two sources of one name": (
        BadProject, "rename", "class G(tt.Contract):\n    id: tt.Key[str]\n    at: tt.EventTime\n"
        "@tt.source(G, name='weather')  # !\ndef other(): ...",
    ),
    "two sources of one contract": (BadProject, "one function", "@tt.source(Weather)  # !\ndef other(): ..."),
    "two views of one name": (
        BadProject, "rename",
        "tt.features('delay', of=Flight, decided=Flight.scheduled, columns=[Flight.origin])  # !",
    ),
    "two models of one name": (
        BadProject, "rename", "@tt.model(view(), label=Flight.arr_delay > 60)  # !\ndef late(X, y): ...",
    ),
    "a view without a source": (
        BadProject, "@tt.source(G)",
        "class G(tt.Contract):\n    origin: tt.Key[str]\n    at: tt.EventTime\n    x: tt.Float\n"
        "tt.features('v', of=Flight, decided=Flight.scheduled, columns=[G.latest('x', by='origin')])  # !",
    ),
    "two contracts of one name": (
        BadProject, "rename",
        "class Weather(tt.Contract):  # !\n    origin: tt.Key[str]\n    at: tt.EventTime\n    x: tt.Float\n"
        "tt.features('v', of=Flight, decided=Flight.scheduled, columns=[Weather.latest('x', by='origin')])",
    ),
    "an error of Python": (BadProject, "correct", "1 / 0  # !"),
    "an exit": (BadProject, "correct", "raise SystemExit(3)  # !"),
    "a syntax error": (BadProject, "correct the line", "def broken(:  # !"),
    "a package that is not there": (BadProject, "pip install nowhere_to_be_found", "import nowhere_to_be_found  # !"),
}  # fmt: skip

LINES = {**CONTRACTS, **SOURCES, **COLUMNS, **MODELS, **POLICIES, **PROJECTS}


def load(folder: Path, text: str) -> tuple[TrimtabError, int]:
    """Load a file with a mistake; return its error and the marked line (0: none is marked)."""
    file = folder / "flights.py"
    file.write_text(PRELUDE + text + "\n")
    lines = file.read_text().splitlines()
    marked = next((number for number, line in enumerate(lines, start=1) if "# !" in line), 0)
    with pytest.raises(TrimtabError) as caught:
        load_project(file)
    return caught.value, marked


def check_parts(error: TrimtabError, kind: type[TrimtabError], next: str) -> None:
    assert type(error) is kind, error
    parts = error.parts()
    assert all(parts.values())
    assert next in error.next, error
    assert error.why.endswith("."), "why is a sentence"
    assert not error.what.endswith("."), "what is not; the constructor adds the stop"
    assert error.code.startswith("declare.")
    assert "Traceback" not in str(error)
    assert not re.search(r"<\w+>", error.next), "it can be typed as it stands"


def test_the_file_before_the_mistake_is_right(tmp_path: Path) -> None:
    file = tmp_path / "flights.py"
    file.write_text(PRELUDE)
    assert [model.name for model in load_project(file).spec.models] == ["late", "length"]


def test_the_catalogue_is_long() -> None:
    assert len(LINES) + len(VIEWS) >= 100


@pytest.mark.parametrize(("kind", "next", "text"), LINES.values(), ids=LINES.keys())
def test_a_mistake(kind: type[TrimtabError], next: str, text: str, tmp_path: Path) -> None:
    error, line = load(tmp_path, text)
    check_parts(error, kind, next)
    assert error.where == f"flights.py:{line}"


@pytest.mark.parametrize(("kind", "next", "text", "marked"), VIEWS.values(), ids=VIEWS.keys())
def test_a_mistake_in_a_view(kind: type[TrimtabError], next: str, text: str, marked: int, tmp_path: Path) -> None:
    error, line = load(tmp_path, text)
    check_parts(error, kind, next)
    # A wrong column is named where it was written, a wrong view where tt.features was called.
    called = next_line_of(PRELUDE, "return tt.features")
    assert error.where == f"flights.py:{line if marked else called}"


def next_line_of(text: str, part: str) -> int:
    return next(number for number, line in enumerate(text.splitlines(), start=1) if part in line)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(ProjectNotFound) as caught:
        load_project(tmp_path / "flights.py")
    assert all(caught.value.parts().values())


def test_a_file_that_declares_nothing(tmp_path: Path) -> None:
    file = tmp_path / "empty.py"
    file.write_text("import trimtab as tt\n")
    with pytest.raises(BadProject, match="declares nothing"):
        load_project(file)


def test_a_file_that_is_no_python(tmp_path: Path) -> None:
    file = tmp_path / "flights.yaml"
    file.write_text("sources: []\n")
    with pytest.raises(BadProject, match=r"flights\.py"):
        load_project(file)


def test_typed_into_a_shell() -> None:
    # Without the text of the line there is no spelling to show, but still an answer.
    with pytest.raises(NotYesOrNo) as caught:
        exec("import trimtab as tt\ntt.auc > 0.5 or tt.f1 > 0.5", {"__name__": "__main__"})
    assert caught.value.where == "<string>:2"
    assert "| and &" in caught.value.next


@pytest.mark.parametrize("kind", [BadColumn, BadContract, BadPolicy, BadView, UnknownField, UnknownWord, NotYesOrNo])
def test_a_mistake_is_invalid(kind: type[TrimtabError]) -> None:
    assert issubclass(kind, Invalid)
