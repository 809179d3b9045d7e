"""That people hear of every move of the champion: what was said leaves a mark.

    swap manifest -> (decision.json) -> publish -> told/<model>/<revision>.json (create-only)

Moves are said in their order, so that one with a mark stands for all before it: whoever says one,
or sweeps, first says what a crash left unsaid. A message said twice is posted once, by its id.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from shared import documents, paths
from shared.documents import timestamp
from shared.events import ModelPromoted, parse_time
from shared.manifests import Manifest, read_manifest
from shared.moves import Move
from shared.usecases.beside.experimenting import end_moved

if TYPE_CHECKING:
    from shared.usecases.promoting import Promote

# What is older was said, or is no news: moves of before there were marks have none.
LOOK_BACK = timedelta(days=7)


def say_move(model: str, move: Move, sentence: str, ports: Promote, at: str) -> None:
    """Publish a move of the champion, after those before it that nobody was told of. `at` is when
    it was decided, or wanted once more."""
    manifest = read_manifest(model, lake=ports.lake)
    end_moved(model, manifest, ports)
    for earlier in _untold(manifest, ports) if manifest else ():
        if earlier.revision < move.revision:
            _say(model, earlier, earlier.reason, ports, earlier.at)
    _say(model, move, sentence, ports, at)


def say_untold(manifest: Manifest, ports: Promote) -> int:
    """Publish the moves whose makers died before they could; how many there were."""
    found = _untold(manifest, ports)
    for move in found:
        _say(manifest.model, move, move.reason, ports, move.at)
    return len(found)


def _untold(manifest: Manifest, ports: Promote) -> list[Move]:
    """The last moves that have no mark, oldest first."""
    since, found = ports.clock.now() - LOOK_BACK, list[Move]()
    for move in reversed(manifest.moves):
        mark = paths.told(manifest.model, move.revision)
        if parse_time(move.at) < since or documents.read(ports.lake, mark).exists:
            break
        found.append(move)
    return found[::-1]


def _say(model: str, move: Move, sentence: str, ports: Promote, at: str) -> None:
    ports.say(
        ModelPromoted(
            model=model,
            run_id=move.version,
            version=move.version,
            previous=move.previous,
            revision=move.revision,
            by=move.by,
            sentence=sentence,
            decided_at=at,
        )
    )
    body = {"model": model, "revision": move.revision, "at": timestamp(ports.clock.now())}
    documents.create(ports.lake, paths.told(model, move.revision), body)
