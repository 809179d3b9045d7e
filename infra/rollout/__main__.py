"""`python3 -m infra.rollout hold|roll|back|show`: the predictor's traffic, step by step.

Exit code 0 when it is done, 1 when the old revision has all traffic again or there was nothing to
do, 2 when gcloud failed and somebody must look, 3 when another rollout is at work.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import NoReturn

from infra.rollout.checks import MONITORING, Monitoring, Predictor, RevisionChecks
from infra.rollout.lease import ObjectLease, Taken
from infra.rollout.steps import STEPS, NothingToRoll, RolledBack, Rollout
from infra.rollout.traffic import Gcloud, GcloudFailed, run

_COMMANDS = {
    "hold": "the revision that serves keeps all traffic, whatever revision is made next",
    "roll": "the newest revision gets the traffic by steps, watched; back where it does badly",
    "back": "from a rollout that is under way to the stable revision, else to the one before",
    "show": "print who has which share and tag; nothing is changed",
}
_CODES = """exit codes:
  0  done
  1  the old revision has all traffic again, or there was nothing to do
  2  gcloud failed, and somebody must look
  3  another rollout is at work"""
# A step's watch and its checks, with room to spare: who dies blocks the next for as long.
_LEASE_MARGIN_SECONDS = 600


def main(arguments: Sequence[str]) -> int:
    options = _options(arguments)
    signal.signal(signal.SIGTERM, _stopped)  # a cancelled build goes back, too
    service = Gcloud(options.service, options.project, options.region)

    def show() -> None:
        traffic = service.read()
        print(json.dumps(traffic and asdict(traffic), indent=1))

    rollout = Rollout(
        service, _lease(options), _checks(options, service), say=_say, steps=options.steps
    )
    commands: Mapping[str, Callable[[], None]] = {
        "hold": rollout.hold,
        "roll": rollout.roll,
        "back": rollout.back,
        "show": show,
    }
    try:
        commands[options.command]()
    except (NothingToRoll, RolledBack) as error:
        return _failed(str(error), 1)
    except GcloudFailed as error:
        place = f"{options.service}, project {options.project}, {options.region}"
        wanted = f"`{options.command}` ({_COMMANDS[options.command]}) of {place}"
        return _failed(f"{wanted} did not work:\n{error}", 2)
    except Taken as error:
        return _failed(str(error), 3)
    return 0


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    commands = "\n".join(f"  {name}  {text}" for name, text in _COMMANDS.items())
    parser = argparse.ArgumentParser(
        prog="python3 -m infra.rollout",
        description=f"Who gets the predictor's traffic.\n\ncommands:\n{commands}",
        epilog=_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("command", choices=tuple(_COMMANDS), help="see above")
    parser.add_argument("--project", required=True, help="the Google project's id")
    parser.add_argument("--region", required=True, help="such as europe-west1")
    parser.add_argument("--service", default="predict", help="of Cloud Run; default: predict")
    parser.add_argument(
        "--lease", help="gs:// address of the lease; default: in the project's bucket of bundles"
    )
    parser.add_argument("--steps", type=_steps, default=STEPS, help="percents, such as 5,25,50,100")
    parser.add_argument(
        "--watch-seconds", type=float, default=300.0, help="how long each step is watched"
    )
    parser.add_argument("--as", dest="identity", default="", help="service account that asks")
    parser.add_argument("--monitoring", default=MONITORING, help="empty: smoke tests alone decide")
    return parser.parse_args(arguments)


def _steps(text: str) -> tuple[int, ...]:
    steps = tuple(int(word) for word in text.split(","))
    if list(steps) != sorted(set(steps)) or steps[0] < 1 or steps[-1] != 100:
        raise argparse.ArgumentTypeError("percents that rise, the last one 100")
    return steps


def _lease(options: argparse.Namespace) -> ObjectLease:
    place = f"gs://{options.project}-millrace-bundles/rollouts/{options.service}.json"
    owner = os.environ.get("BUILD_ID") or f"{socket.gethostname()}-{os.getpid()}"
    seconds = options.watch_seconds + _LEASE_MARGIN_SECONDS
    return ObjectLease(options.lease or place, owner, seconds)


def _checks(options: argparse.Namespace, service: Gcloud) -> RevisionChecks:
    def identity() -> str:
        """For the service itself: a tag's URL is no audience. People's own tokens are for gcloud,
        which Cloud Run takes as well; gcloud refuses to name another audience for them."""
        traffic = service.read()
        command = ["gcloud", "auth", "print-identity-token", "--quiet"]
        named = f"--audiences={traffic.url if traffic else ''}"
        if options.identity:
            account = f"--impersonate-service-account={options.identity}"
            return run([*command, account, named, "--include-email"])
        try:
            return run([*command, named])
        except GcloudFailed:
            return run(command)

    monitoring = None
    if options.monitoring:
        reads = Bearer(lambda: run(["gcloud", "auth", "print-access-token", "--quiet"]))
        monitoring = Monitoring(options.project, options.service, reads, options.monitoring)
    predictor = Predictor(Bearer(identity))
    return RevisionChecks(predictor, monitoring, service.read, options.watch_seconds)


class Bearer:
    """A header with a token that is asked for again long before its hour is over."""

    def __init__(self, ask: Callable[[], str], seconds: float = 1200.0) -> None:
        self._ask, self._seconds = ask, seconds
        self._token, self._until = "", 0.0

    def __call__(self) -> dict[str, str]:
        if time.monotonic() >= self._until:
            self._token, self._until = self._ask().strip(), time.monotonic() + self._seconds
        return {"Authorization": f"Bearer {self._token}"}


def _say(text: str) -> None:
    print(text, flush=True)


def _failed(text: str, code: int) -> int:
    print(text, file=sys.stderr, flush=True)
    return code


def _stopped(_number: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt("the build was cancelled")


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
