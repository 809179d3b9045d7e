"""The stages of a deployment in their order."""

from __future__ import annotations

from infra.deploy.before import Before
from infra.deploy.ground import Foundation, Ground
from infra.deploy.images import Images
from infra.deploy.installation import Bundles, Known, Root
from infra.deploy.places import Region
from infra.deploy.stages import Stage
from infra.deploy.traffic import Traffic
from infra.deploy.trial import Database, Trial

# Repository and bundle bucket before images and bundles, these before what runs them; addresses of
# services are known before the services are, so nothing waits for itself.
ALL: tuple[Stage, ...] = (
    Before(),
    Ground(),
    Foundation(),
    Region(),
    Bundles(),
    Images(),
    Root(),
    Database(),
    Known(),
    Trial(),
    Traffic(),
)
