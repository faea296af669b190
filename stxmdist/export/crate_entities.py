"""Entities of an RO-Crate, as its metadata file lists them: pure functions from facts to JSON-LD.

Source: RO-Crate Metadata Specification 1.3, chapters Root Data Entity, Data Entities, Provenance (software, actions).
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote

VERSION = "1.3"
SPECIFICATION = f"https://w3id.org/ro/crate/{VERSION}"
DESCRIPTOR = "ro-crate-metadata.json"
ROOT = "./"
README = "README.md"
PROGRAM = "#software/stxmdist"
LICENCES = "https://spdx.org/licenses/"

Entity = dict[str, object]
"""One member of ``@graph``"""


@dataclass(frozen=True)
class Part:
    """A file of the crate, or a folder of which programs make one thing."""

    path: str
    """In the crate, with a slash at its end for a folder"""
    meaning: str
    media_type: str
    """IANA's, or the name of a format that has none"""
    bytes: int = 0
    sha256: str = ""
    """Empty for folders"""
    inside: tuple["Part", ...] = ()
    """Of a folder, what in it is worth a look by itself"""

    @property
    def identifier(self) -> str:
        """The path as an address."""
        return quote(self.path)


@dataclass(frozen=True)
class Run:
    """One stage of the processing, as it is published."""

    stage: str
    version: int | str
    time: str
    """ISO 8601, when it was published"""
    options: Mapping[str, object]
    software: Mapping[str, str]
    outputs: Mapping[str, str]
    """Scan to the digest of its output"""
    upstream: tuple[str, ...]
    """Stages whose outputs it read"""


def to(*identifiers: str) -> object:
    """References to entities; the only one without a list, as the specification wants it."""
    return _one_or_all([{"@id": identifier} for identifier in identifiers])


def _one_or_all(values: Sequence[object]) -> object:
    return values[0] if len(values) == 1 else list(values)


def descriptor() -> Entity:
    """What the metadata file says of itself."""
    about = {"about": {"@id": ROOT}, "conformsTo": {"@id": SPECIFICATION}}
    return {"@id": DESCRIPTOR, "@type": "CreativeWork", **about}


def root(name: str, description: str, date: str, licence: str, parts: Iterable[str], actions: Iterable[str]) -> Entity:
    """The crate as a whole; ``date`` is that of the export, parts and actions are identifiers."""
    return {
        "@id": ROOT,
        "@type": "Dataset",
        "name": name,
        "description": description,
        "datePublished": date,
        "license": {"@id": licence},
        "hasPart": to(*parts),
        "mentions": to(*actions),
    }


def licence_of(spdx: str | None) -> Entity:
    """A licence by its identifier in the list of SPDX; in words that there is none yet where None."""
    if spdx is None:
        why = "The owners of these data have not named a licence. Ask them before you use or share the data."
        return {"@id": "#licence", "@type": "CreativeWork", "name": "No licence named", "description": why}
    return {"@id": f"{LICENCES}{spdx}", "@type": "CreativeWork", "name": spdx, "description": f"SPDX licence {spdx}"}


def data_entities(part: Part) -> list[Entity]:
    """A file with its size and digest, or a folder with what is named of it."""
    about: Entity = {"@id": part.identifier, "name": part.path.rstrip("/").split("/")[-1], "description": part.meaning}
    if part.path.endswith("/"):
        inside = [entity for file in part.inside for entity in data_entities(file)]
        return [{**about, "@type": "Dataset", "hasPart": to(*(file.identifier for file in part.inside))}, *inside]
    size = {"contentSize": str(part.bytes), "sha256": part.sha256}
    return [{**about, "@type": "File", "encodingFormat": part.media_type, **size}]


def folder_entity(path: str, name: str, parts: Iterable[Part]) -> Entity:
    """A folder that holds several parts."""
    return {
        "@id": quote(path),
        "@type": "Dataset",
        "name": name,
        "description": name,
        "hasPart": to(*(part.identifier for part in parts)),
    }


def input_identifier(scan_id: str, file: str) -> str:
    """Of a beamline file, which is not in the crate."""
    return f"#input/{quote(scan_id)}/{quote(file)}"


def input_entity(scan_id: str, file: str, sha256: str, origin: str) -> Entity:
    """A beamline file that was read, with the digest of its content."""
    return {
        "@id": input_identifier(scan_id, file),
        "@type": "CreativeWork",
        "name": file,
        "description": f"beamline file of the scan {scan_id}, {origin}; not in this crate",
        "sha256": sha256,
    }


def program_entity(version: str, libraries: Mapping[str, str]) -> Entity:
    """The program, and what it calculated with: name to version."""
    return {
        "@id": PROGRAM,
        "@type": "SoftwareApplication",
        "name": "stxmdist",
        "description": "processing of soft X-ray microscopy of battery cathodes",
        "version": version,
        # The specification wants an address. The program has none of its own: what it did is told here.
        "url": README,
        "softwareRequirements": _one_or_all([f"{name} {of}" for name, of in libraries.items()]),
    }


def run_identifier(stage: str) -> str:
    """Of the action that a stage was."""
    return f"#run/{stage}"


def output_identifier(stage: str) -> str:
    """Of what a stage left in the store."""
    return f"#output/{stage}"


def run_entities(run: Run, inputs: Iterable[str]) -> list[Entity]:
    """The action that a stage was, its options, and what it left; ``inputs`` are identifiers beside other stages'."""
    options: list[Entity] = [
        {
            "@id": f"#option/{run.stage}/{quote(name)}",
            "@type": "PropertyValue",
            "name": f"{run.stage}: {name}",
            "value": value if isinstance(value, str) else json.dumps(value),
        }
        for name, value in run.options.items()
    ]
    used = (*inputs, *map(output_identifier, run.upstream), *(str(option["@id"]) for option in options))
    output: Entity = {
        "@id": output_identifier(run.stage),
        "@type": "CreativeWork",
        "name": f"output of the stage {run.stage}",
        "description": "in the store of the campaign; one digest of inputs, options and version for each scan",
        "identifier": _one_or_all([f"{scan_id}: {digest}" for scan_id, digest in run.outputs.items()]),
    }
    versions = ", ".join(f"{name} {version}" for name, version in run.software.items())
    action: Entity = {
        "@id": run_identifier(run.stage),
        "@type": "CreateAction",
        "name": f"stage {run.stage}",
        "description": f"stage {run.stage}, version {run.version}, of {len(run.outputs)} outputs, with {versions}",
        "endTime": run.time,
        "instrument": {"@id": PROGRAM},
        "object": to(*used),
        "result": to(str(output["@id"])),
    }
    return [action, *options, output]


def export_entity(time: str, stages: Iterable[str], parts: Iterable[str]) -> Entity:
    """The action that made the files of the crate from what the stages left."""
    return {
        "@id": run_identifier("export"),
        "@type": "CreateAction",
        "name": "export",
        "description": "published results were written in formats of other programs",
        "endTime": time,
        "instrument": {"@id": PROGRAM},
        "object": to(*map(output_identifier, stages)),
        "result": to(*parts),
    }
