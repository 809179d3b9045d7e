"""The tree of commands. Modules behind it are imported when one of their commands is called, so
that `--help` answers at once."""

from __future__ import annotations

import importlib
import os
import sys

import click

from shared.cli import installations

# name: (module, one line for --help); the command is the module's attribute of that name.
COMMANDS = {
    "demo": ("demo.command", "The main job, start to end, explained."),
    "up": ("stack", "Keep the local stack in the foreground."),
    "down": ("stack", "Stop a stack from another shell."),
    "try": ("trying", "Draft a spec for a file, train on it, predict its first row."),
    "init": ("initing", "Draft a model spec from a file."),
    "drop": ("dropping", "Upload a file, or a batch of several, and follow what becomes of it."),
    "get": ("getting", "Bring a result to this disk: a run's, or any object."),
    "status": ("status", "Models, what serves, what runs, what waits."),
    "why": ("why", "One run on one screen: what happened, what next."),
    "trace": ("trace", "Where a version, run or prediction comes from, back to the objects."),
    "quarantine": ("quarantine", "Rows that could not be used: look, correct, replay."),
    "predict": ("predict", "Ask the predictor."),
    "approvals": ("decide", "Versions and specs that wait for a person."),
    "versions": ("versions", "Model versions: list, compare, promote, take back; their history."),
    "decision": ("decision", "How a version was decided, rule by rule."),
    "rollback": ("decide", "Put the previous version back and pin it."),
    "pin": ("decide", "Hold automation for a model."),
    "unpin": ("decide", "Let automation go on."),
    "mute": ("muting", "Keep alerts of a model for the digest, for a while."),
    "unmute": ("muting", "Hear alerts of a model at once again."),
    "mutes": ("muting", "What is muted, by whom, until when."),
    "experiment": ("experiment", "Two versions side by side on live traffic, judged on labels."),
    "canary": ("canary", "A new version that comes in by steps: how it does; stop it."),
    "shadow": ("shadow", "A version that scores predictions unseen, after the champion."),
    "tick": ("tick", "Publish what Cloud Scheduler would: sweep, monitor or digest."),
    "dead-letters": ("letters", "Messages that could not be delivered."),
    "spec": ("specs", "Check a spec file, show the one in force, compare, plan."),
    "context": ("naming", "Installations on Google Cloud that are known here."),
    "doctor": ("doctor", "Is everything there? Before a deployment, after it, and locally."),
    "deploy": ("deploying", "An installation on Google Cloud: make it, bring it up to date."),
    "teardown": ("deploying", "Take an installation down; its lake stays."),
    "secret": ("secret", "Values that only deployed parts may read."),
    "slack": ("stack", "What the local stack would have posted to Slack."),
    "forget": ("forget", "Erase what is held about one person, and say what stays."),
    "cost": ("cost", "What a month costs by list prices, or what runs have cost."),
    "logs": ("stack", "Logs of the local stack."),
    "ui": ("stack", "The address of MLflow."),
}


class Commands(click.Group):
    """Knows its commands by name; imports one to run it."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(COMMANDS)

    def get_command(
        self,
        ctx: click.Context,  # noqa: ARG002 - click's signature
        cmd_name: str,
    ) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"shared.cli.{COMMANDS[cmd_name][0]}")
        name = cmd_name.replace("-", "_")
        command = getattr(module, f"{name}_" if name == "try" else name)
        return command if isinstance(command, click.Command) else None

    def format_commands(
        self,
        ctx: click.Context,  # noqa: ARG002 - click's signature
        formatter: click.HelpFormatter,
    ) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.command(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--context",
    "context_name",
    default=installations.current,
    envvar="MILLRACE_CLI_CONTEXT",
    metavar="NAME",
    help="Which installation: local (`make up`), demo (what `make demo` left), or one of "
    "`context list`. Default: what `context use` said, else local.",
)
@click.option(
    "--confirm",
    metavar="MODEL",
    help="In scripts, for production: the name of the model that may be changed.",
)
@click.version_option(package_name=None, version="0.1.0", prog_name="millrace")
@click.pass_context
def cli(ctx: click.Context, context_name: str, confirm: str | None) -> None:  # noqa: ARG001 - read by contexts
    """Drop a CSV in a bucket, get a validated, trained, promoted, served and watched model.

    Start with `make demo`, or with `make up` and then `./millrace try my.csv --target column`.
    """
    ctx.obj = context_name


def _safe(text: str) -> str:
    from shared.cli.console import safe  # not above: `--help` needs no tables

    return safe(text, lines=True)


def refused(error: Exception) -> str:
    """What Google Cloud says to a caller who may not, or whose login is over; empty for other
    errors. Told by their shape: Google's libraries are not imported for that."""
    status = getattr(error, "code", None)
    if not type(error).__module__.startswith("google."):
        return ""
    if type(error).__name__ in ("RefreshError", "DefaultCredentialsError") or status == 401:
        login = "gcloud auth application-default login"
        return f"Google Cloud does not know who asks: {error}. Run: {login}"
    said = getattr(error, "message", None) or error
    return f"Google Cloud refused: {said}" if status in (403, 404) else ""


def main() -> None:
    """Run a command; our own errors become one sentence on stderr and exit code 1."""
    from shared.errors import MillraceError

    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # its farewells are no news for people
    try:
        code = cli.main(standalone_mode=False, prog_name="millrace")
    except click.UsageError as error:
        error.show()
        code = error.exit_code
    except click.ClickException as error:
        click.echo(_safe(f"Error: {error.format_message()}"), err=True)
        code = error.exit_code
    except click.Abort:
        click.echo("\nStopped.", err=True)
        code = 130
    except BrokenPipeError:  # `millrace logs | head`
        sys.stderr.close()
        code = 0
    except MillraceError as error:
        click.echo(_safe(f"Error: {error}"), err=True)
        code = 1
    except Exception as error:
        if told := refused(error):
            click.echo(_safe(f"Error: {told}"), err=True)
            sys.exit(1)
        raise
    sys.exit(code if isinstance(code, int) else 0)
