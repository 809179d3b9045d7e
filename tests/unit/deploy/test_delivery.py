"""From a commit to a plan that is kept, and from an approval to exactly that plan."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from infra.delivery.pipeline import IMAGES, PLAN, PROVIDERS, TEXT, Delivery
from infra.deploy.deployment import Deployment
from infra.deploy.installation import Bundles
from infra.deploy.tools import StepFailed
from shared.cli import installations
from tests.support.fake_cloud import FakeTools
from tests.unit.deploy.conftest import Site

COMMIT = "c0ffee" * 6 + "c0ff"


class ShelfTools(FakeTools):
    """As its base, with objects: what is copied to gs:// is there, what was not cannot be had. A
    plan is a file, and what was applied is remembered."""

    shelf: Path
    applied: str = ""

    def do(
        self,
        *command: str,
        log: str,
        env: Mapping[str, str] | None = None,
        good: tuple[int, ...] = (0,),
    ) -> int:
        if command[:3] == ("gcloud", "storage", "cp"):
            self.tell(" ".join(command))
            self._copy([word for word in command[3:] if not word.startswith("--")])
            return 0
        code = super().do(*command, log=log, env=env, good=good)
        if "plan" in command:
            out = next(word for word in command if word.startswith("-out="))
            Path(out.removeprefix("-out=")).write_text(f"a plan of {' '.join(command)}")
        if "apply" in command:
            self.applied = Path(command[-1]).read_text()
        return code

    def _copy(self, words: list[str]) -> None:
        *sources, to = [self._place(word) for word in words]
        to.mkdir(parents=True, exist_ok=True)
        for source in sources:
            if not source.is_file():
                raise StepFailed(f"{source}: not found: 404")
            shutil.copyfile(source, to / source.name)

    def _place(self, word: str) -> Path:
        return self.shelf / word[5:] if word.startswith("gs://") else Path(word)


@dataclass
class World:
    """One project, and a checkout per build: nothing is left on a builder's disk."""

    site: Site
    home: Path
    monkeypatch: pytest.MonkeyPatch
    builds: int = 0

    @property
    def shelf(self) -> Path:
        return self.home / "shelf"

    @property
    def plans(self) -> Path:
        return self.shelf / "acme-data-millrace-bundles" / "plans" / COMMIT / "dev"

    def build(self) -> tuple[Delivery, ShelfTools]:
        self.builds += 1
        home = self.home / f"build-{self.builds}"
        root = home / "infra" / "terraform"
        root.mkdir(parents=True)
        (root / PROVIDERS).write_text(f"chosen by build {self.builds}")
        self.monkeypatch.setattr(Deployment, "root", root)
        self.monkeypatch.setattr(installations, "HOME", home)
        # Zips take their time, and that they are made is the promise of deploy's own tests.
        self.monkeypatch.setattr(Bundles, "apply", lambda *_: None)
        tools = ShelfTools(self.site.cloud, home / "logs", self.site.told.append)
        tools.shelf = self.shelf
        deployment = Deployment(
            name="dev",
            project="acme-data",
            region="europe-west1",
            environment="dev",
            tools=tools,
            home=home,
        )
        self.monkeypatch.setattr(
            "infra.deploy.terraform.Terraform._command",
            lambda _, *words: ("terraform", "x", *words),
        )
        return Delivery(deployment, COMMIT, home / "handed-on"), tools

    def buildx(self, delivery: Delivery) -> None:
        """Build and push what the bake file says."""
        made = json.loads((delivery.folder / "bake.json").read_text())
        tags = [tag for target in made["target"].values() for tag in target["tags"]]
        self.site.cloud.be(images=[*self.site.cloud.world["images"], *tags])

    def planned(self) -> Delivery:
        delivery, _ = self.build()
        delivery.bake()
        self.buildx(delivery)
        delivery.plan()
        return delivery


@pytest.fixture
def world(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(site, tmp_path, monkeypatch)


def test_only_images_that_are_not_there_are_built(world: World) -> None:
    """An unchanged image keeps its digest, so an unchanged part gets no new revision."""
    delivery, _ = world.build()
    assert set(delivery.bake()) >= {"predict", "train", "score", "label"}
    target = json.loads((delivery.folder / "bake.json").read_text())["target"]["train"]
    assert target["args"] == {"DOOR": "jobs/train"}
    assert target["dockerfile"] == "infra/images/Dockerfile"
    registry = "europe-west1-docker.pkg.dev/acme-data/millrace"
    assert target["cache-from"] == [f"type=registry,ref={registry}/cache-train:layers"]
    assert target["cache-to"] == [f"type=registry,ref={registry}/cache-train:layers,mode=max"]
    world.buildx(delivery)
    assert delivery.bake() == []
    assert not (delivery.folder / "bake.json").exists()


def test_a_plan_is_kept_with_all_that_it_needs(world: World) -> None:
    """As text for whoever approves, with the digests of its images and the providers it was made
    with; made without a lock, as an account that cannot write the state."""
    world.planned()
    assert {file.name for file in world.plans.iterdir()} == {PLAN, TEXT, IMAGES, PROVIDERS}
    references = json.loads((world.plans / IMAGES).read_text())
    assert all("@sha256:" in reference for reference in references.values())
    (plan,) = [call for call in world.site.cloud.calls if " plan " in call]
    assert "-lock=false" in plan
    assert f"-var=code_version={COMMIT}" in plan


def test_without_an_image_there_is_no_plan(world: World) -> None:
    delivery, _ = world.build()
    with pytest.raises(StepFailed, match="no image of this commit: predict"):
        delivery.plan()
    assert not world.plans.exists()


def test_an_image_that_somebody_else_pushed_is_noticed(world: World) -> None:
    """What buildx wrote down is what the registry must have."""
    delivery, _ = world.build()
    delivery.bake()
    world.buildx(delivery)
    other = {"containerimage.digest": "sha256:" + "b" * 64}
    (delivery.folder / "metadata.json").write_text(json.dumps({"predict": other}))
    with pytest.raises(StepFailed, match="predict was pushed as sha256:bbb"):
        delivery.plan()


def test_exactly_the_approved_plan_is_applied(world: World) -> None:
    """On another machine, with the providers of the plan; and the context is there afterwards."""
    world.planned()
    world.site.cloud.forget_calls()
    delivery, tools = world.build()
    delivery.apply([], "ci@acme-data")
    assert tools.applied == (world.plans / PLAN).read_text()
    assert (delivery.deployment.root / PROVIDERS).read_text() == "chosen by build 1"
    assert not [call for call in world.site.cloud.calls if " plan " in call]
    there = installations.find("dev")
    assert there is not None
    assert there.impersonate == "ci@acme-data"


def test_without_its_plan_nothing_is_applied(world: World) -> None:
    """The plan build of the commit failed, or goes on while somebody approved already."""
    delivery, tools = world.build()
    with pytest.raises(StepFailed, match="start this one again when it is done"):
        delivery.apply([], "ci@acme-data")
    assert tools.applied == ""
    assert not [call for call in world.site.cloud.calls if "terraform" in call]


def test_a_plan_that_was_overtaken_is_refused_and_said(world: World) -> None:
    """Terraform knows that the state moved on; a new plan is another approval."""
    world.planned()
    delivery, _ = world.build()
    world.site.cloud.fail(r"terraform .* apply", said="Error: Saved plan is stale")
    with pytest.raises(StepFailed, match="stale"):
        delivery.apply([], "ci@acme-data")
    assert installations.find("dev") is None


def test_specs_are_dropped_as_who_may_only_that(world: World, tmp_path: Path) -> None:
    delivery, _ = world.build()
    spec = tmp_path / "churn.yaml"
    spec.write_text("task: binary\ntarget: y\n")
    delivery.drop_specs([spec], "mr-ci-specs@acme-data.iam.gserviceaccount.com")
    assert (world.shelf / "acme-data-millrace-inbox" / "_specs" / "churn.yaml").is_file()
    assert "--impersonate-service-account=mr-ci-specs@acme-data" in world.site.text
    told = len(world.site.told)
    delivery.drop_specs([], "anybody")
    assert len(world.site.told) == told
