"""The Dockerfile, done by the letter where there is no builder of images, and what the page does with the image."""

import json
import re
import shlex
import shutil
import tomllib
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet
from tests.docs.operating.conftest import DOCKERFILE, install_line
from tests.docs.operating.machine import Machine, commands, instructions
from tests.docs.operating.unit import read_only
from tests.docs.pages import DOCS, ROOT
from tests.waiting import PATIENCE_S, wait_until

PAGE = DOCS / "guide" / "operating" / "container.md"


class Image:
    """What a builder makes of the Dockerfile, on a machine of the test's own."""

    def __init__(self, machine: Machine, context: Path) -> None:
        self.machine = machine
        self.context = context
        self.user = "root"
        self.environment: dict[str, str] = {}
        self.entry: list[str] = []
        self.command: list[str] = []
        self.health: list[str] = []
        self.volume = ""
        for name, words in instructions(DOCKERFILE):
            self._take(name, words)

    def _take(self, name: str, words: str) -> None:
        match name:
            case "FROM":
                python = re.fullmatch(r"python:(3\.\d+)-slim", words)
                wanted = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["requires-python"]
                assert python
                assert python[1] in SpecifierSet(wanted)
            case "RUN" if "pip" in words:
                assert words.replace(" --no-cache-dir", "") == install_line()  # done already, once for all tests
                assert self.machine.run("ls /srv/*.whl /srv/constraints.txt").count("/srv/") == 2
            case "RUN":
                self.machine.run(words)
            case "WORKDIR":
                self.machine.run(f"mkdir -p {words}")
                self.machine.cwd = words
            case "COPY":
                *patterns, target = words.split()
                assert target == "./"
                for file in [file for pattern in patterns for file in self.context.glob(pattern)]:
                    shutil.copy(file, self.machine.folders["srv"])
            case "USER":
                self.user = words
            case "ENV":
                self.environment |= dict([words.split("=", 1)])
            case "ENTRYPOINT":
                self.entry = json.loads(words)
            case "CMD":
                self.command = json.loads(words)
            case "HEALTHCHECK":
                self.health = json.loads(words.partition("CMD ")[2])
            case "VOLUME":
                self.volume = words
            case "EXPOSE" | "STOPSIGNAL":
                assert words in ("8400", "SIGTERM")
            case _:
                pytest.fail(f"no test knows what {name} does")

    def words(self, given: list[str], *, strict: bool = False) -> str:
        """The line that runs the image with these words, as its user."""
        rights = "--no-new-privs --inh-caps=-all --bounding-set=-all --clear-groups"
        command = shlex.join([*self.entry, *(given or self.command)])
        line = f"exec setpriv --reuid {self.user} --regid {self.user} {rights} -- {command}"
        return f"exec unshare --mount sh -ec {shlex.quote(read_only(self.volume) + line)}" if strict else line


@pytest.mark.timeout(1800)
def test_the_image_is_built_and_run_as_the_page_says(built: Path, opt: Path, tmp_path: Path) -> None:
    with Machine(tmp_path, opt=opt) as machine:
        image = Image(machine, built)
        assert machine.cwd == image.volume == "/var/lib/trimtab"
        build, *once, serve = [shlex.split(line) for line in commands(PAGE)]
        assert build[2:] == ["--file", "deploy/container/Dockerfile", "--tag", "trimtab", "."]
        for words in once:
            assert words[:5] == ["docker", "run", "--rm", "--volume", f"trimtab:{image.volume}"]
            said = machine.run(image.words(words[6:]), environment=image.environment)
        assert (words[6], serve[-1]) == ("token", "trimtab")
        server = machine.start(image.words([], strict="--read-only" in serve), environment=image.environment)
        wait_until(lambda: is_healthy(image), "the image is healthy", alive=server)
        ready = "curl --silent --output /dev/null --write-out '%{http_code}' http://127.0.0.1:8400/readyz"
        wait_until(lambda: machine.run(ready) == "200", "the server is ready", alive=server)
        predicts(machine, said.strip())
        address = json.loads(machine.run("cat /var/lib/trimtab/.trimtab/server.json"))
        assert machine.run(f"stat --format=%u /proc/{address['pid']}").strip() == "10001"
        machine.run(f"kill -TERM {address['pid']}")
        assert server.wait(PATIENCE_S) == 0
        assert not is_healthy(image)


def is_healthy(image: Image) -> bool:
    """What the image's own check says."""
    check = f"setpriv --reuid {image.user} --regid {image.user} --clear-groups -- {shlex.join(image.health)}"
    return image.machine.run(f"{check} 2>/dev/null; echo $?", environment=image.environment).splitlines()[-1] == "0"


def predicts(machine: Machine, secret: str) -> None:
    """One prediction with the token of the page, and none without it."""
    at = "http://127.0.0.1:8400/v2/models/late"
    assert json.loads(machine.run(f"curl --silent {at}"))["code"] == "server.not-signed-in"
    bearer = f"--header 'Authorization: Bearer {secret}'"
    described = json.loads(machine.run(f"curl --silent --fail {bearer} {at}"))
    values = {"BYTES": "north", "FP64": 1.0, "INT64": 1}
    inputs = [
        {"name": one["name"], "datatype": one["datatype"], "shape": [1], "data": [values[one["datatype"]]]}
        for one in described["inputs"]
    ]
    (machine.folders["srv"] / "row.json").write_text(json.dumps({"inputs": inputs}))
    answered = machine.run(f"curl --silent --fail {bearer} --data @/srv/row.json {at}/infer")
    assert json.loads(answered)["parameters"]["decision_ids"]
