"""What is steady, and so may run on the event loop: only what takes no longer for one row than for another."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from onnx import TensorProto, helper
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.compose import make_column_transformer
from sklearn.ensemble import AdaBoostClassifier, GradientBoostingRegressor, RandomForestClassifier, VotingClassifier
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.impute import KNNImputer, SimpleImputer
from sklearn.linear_model import ElasticNet, LogisticRegression
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from sklearn.svm import SVC, SVR
from sklearn.tree import DecisionTreeClassifier, ExtraTreeRegressor

from trimtab.serving import Input
from trimtab.serving.onnx_runtime import is_steady
from trimtab.serving.runtimes import Rows
from trimtab.serving.sklearn_runtime import SklearnRuntime

NUMBERS = (Input(name="a", kind="float"), Input(name="b", kind="float"))
WORDS = ("late again", "on time")
MIXED = (Input(name="a", kind="float"), Input(name="said", kind="category", categories=WORDS))


def is_steady_in_sklearn(model: Any, inputs: tuple[Input, ...] = NUMBERS) -> bool:
    """Fit a model and say whether it is served as a steady one."""
    values = [[float(i), float(i % 7)] if inputs is NUMBERS else [float(i), WORDS[i % 2]] for i in range(40)]
    frame = pd.DataFrame(values, columns=[column.name for column in inputs])
    fitted = model.fit(frame, [i % 2 for i in range(40)])
    return SklearnRuntime(fitted, inputs, sample=Rows(values[:5])).steady


@pytest.mark.parametrize(
    "model",
    [
        LogisticRegression(), ElasticNet(), DecisionTreeClassifier(), ExtraTreeRegressor(),
        RandomForestClassifier(n_estimators=3), GradientBoostingRegressor(n_estimators=3),
        make_pipeline(SimpleImputer(), StandardScaler(), LogisticRegression()),
    ],
    ids=repr,
)  # fmt: skip
def test_trees_and_linear_models_are_steady(model: Any) -> None:
    assert is_steady_in_sklearn(model)


@pytest.mark.parametrize(
    "model",
    [
        KNeighborsClassifier(3), KNeighborsRegressor(3), SVC(), SVR(),
        make_pipeline(KNNImputer(), LogisticRegression()), make_pipeline(StandardScaler(), SVC()),
        make_pipeline(FunctionTransformer(np.sqrt), LogisticRegression()),
        VotingClassifier([("tree", DecisionTreeClassifier()), ("near", KNeighborsClassifier(3))]),
        AdaBoostClassifier(SVC(), n_estimators=2),
    ],
    ids=repr,
)  # fmt: skip
def test_what_searches_is_not_steady_however_deep_it_sits(model: Any) -> None:
    assert not is_steady_in_sklearn(model)


@pytest.mark.parametrize(
    ("encoder", "steady"),
    [(OneHotEncoder(), True), (TfidfVectorizer(), False), (CountVectorizer(analyzer="char"), False)],
    ids=repr,
)
def test_what_walks_through_texts_is_not_steady(encoder: Any, steady: bool) -> None:
    column: Any = ["said"] if steady else "said"
    columns = make_column_transformer((encoder, column), remainder="passthrough")
    assert is_steady_in_sklearn(make_pipeline(columns, LogisticRegression()), MIXED) is steady


def converted(model: Any) -> bytes:
    matrix = np.random.default_rng(0).normal(size=(40, 2)).astype(np.float32)
    fitted = model.fit(matrix, matrix[:, 0] > 0)
    kinds = [("input", FloatTensorType([None, 2]))]
    data: bytes = to_onnx(fitted, initial_types=kinds, options={"zipmap": False}).SerializeToString()
    return data


@pytest.mark.parametrize(
    ("model", "steady"),
    [
        (LogisticRegression(), True), (RandomForestClassifier(n_estimators=3), True),
        (make_pipeline(StandardScaler(), DecisionTreeClassifier()), True), (KNeighborsClassifier(3), False),
    ],
    ids=repr,
)  # fmt: skip
def test_a_converted_model_is_as_steady_as_its_operators(model: Any, steady: bool) -> None:
    assert is_steady(converted(model)) is steady


def graph_of(*nodes: Any, domains: tuple[str, ...] = (), functions: tuple[Any, ...] = ()) -> bytes:
    graph = helper.make_graph(
        list(nodes),
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.STRING, [None, 1])],
        [helper.make_tensor_value_info("y", TensorProto.STRING, None)],
    )
    opsets = [helper.make_opsetid(domain, 1 if domain else 20) for domain in {"", *domains}]
    data: bytes = helper.make_model(graph, opset_imports=opsets, functions=functions).SerializeToString()
    return data


@pytest.mark.parametrize(
    ("operator", "domain"),
    [
        ("StringNormalizer", ""), ("StringConcat", ""), ("StringSplit", ""), ("RegexFullMatch", ""),
        ("TfIdfVectorizer", ""), ("Expand", ""), ("Range", ""), ("NonZero", ""), ("Unheard", ""),
        ("Tokenizer", "com.microsoft"), ("Add", "com.example"),
    ],
)  # fmt: skip
def test_an_operator_on_texts_or_an_unknown_one_makes_a_graph_unsteady(operator: str, domain: str) -> None:
    assert is_steady(graph_of(helper.make_node("Identity", ["x"], ["y"])))
    nodes = helper.make_node("Identity", ["x"], ["z"]), helper.make_node(operator, ["z"], ["y"], domain=domain)
    assert not is_steady(graph_of(*nodes, domains=(domain,)))


def function(name: str, operator: str) -> Any:
    node = helper.make_node(operator, ["i"], ["o"])
    return helper.make_function("own", name, ["i"], ["o"], [node], [helper.make_opsetid("", 20)])


def test_a_function_is_as_steady_as_what_it_is_made_of() -> None:
    call = helper.make_node("Mine", ["x"], ["y"], domain="own")
    assert is_steady(graph_of(call, domains=("own",), functions=(function("Mine", "Identity"),)))
    assert not is_steady(graph_of(call, domains=("own",), functions=(function("Mine", "StringNormalizer"),)))


def test_a_function_lends_its_name_to_no_operator() -> None:
    """Somebody calls a harmless function after the operator that he uses."""
    call = helper.make_node("StringNormalizer", ["x"], ["y"])
    assert not is_steady(graph_of(call, domains=("own",), functions=(function("StringNormalizer", "Identity"),)))
