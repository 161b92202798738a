"""What the server and its models are, in the words of the protocol."""

from importlib.metadata import PackageNotFoundError, version

from trimtab.serving import Gateway, Input, Output, Target
from trimtab.wire.inference.records import ModelMetadata, RepositoryModel, ServerMetadata, TensorMetadata

_DATATYPES = {"float": "FP64", "int": "INT64", "bool": "BOOL", "category": "BYTES"}


def server_metadata() -> ServerMetadata:
    """Return the name, version and extensions of this server."""
    try:
        number = version("trimtab")
    except PackageNotFoundError:  # run from a folder that is not installed
        number = "0"
    return ServerMetadata("trimtab", number, ["binary_tensor_data", "model_repository"])


def model_metadata(gateway: Gateway, endpoint: str, number: int | None) -> ModelMetadata:
    """Return what a routed version takes and gives; of the champion when ``number`` is None."""
    target = gateway.target(endpoint, number)
    route = gateway.route(endpoint)
    return ModelMetadata(
        name=endpoint,
        versions=[str(one.version) for one in route.targets if one.stage != "shadow"],
        platform=f"trimtab_{target.loaded.released.format}",
        inputs=[_input(column) for column in target.loaded.released.inputs],
        outputs=[_output(output) for output in target.loaded.runtime.outputs],
        parameters=_ways(target),
    )


def repository(gateway: Gateway) -> list[RepositoryModel]:
    """Return every routed version and whether it answers."""
    found: list[RepositoryModel] = []
    for status in gateway.status():
        if not status.ready:
            found.append(RepositoryModel(status.endpoint, "", "UNAVAILABLE", "; ".join(status.problems)[:500]))
            continue
        targets = gateway.route(status.endpoint).targets
        found += [RepositoryModel(status.endpoint, str(one.version), "READY", one.stage) for one in targets]
    return found


def _ways(target: Target) -> dict[str, str | float | bool | None]:
    intake = target.intake
    if intake.view is None:
        return {}
    return {
        "entity_key": ",".join(intake.keys),
        "request_fields": ",".join(intake.required),
        "optional_fields": ",".join(intake.optional),
    }


def _input(column: Input) -> TensorMetadata:
    return TensorMetadata(column.name, _DATATYPES[column.kind], [-1])


def _output(output: Output) -> TensorMetadata:
    return TensorMetadata(output.name, output.datatype, [-1, *output.shape])
