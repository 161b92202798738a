"""Phase 7: watch what is served: input and prediction drift, outcomes that arrive late, performance, alerts.

In: the decision log, the outcomes, and the reference that a version carries. Out: windows, findings, estimates and
alerts. Everything is counted in fixed cells, so that merging is addition and memory is constant.
"""
