"""What roc-validator says of an RO-Crate, without a network. Run by the peers' own Python.

    peer/bin/python judge_crate.py CRATE ro-crate-1.3 [required|recommended]

Prints one JSON document: whether the crate passed, and its issues. The context that a crate names by its address is
taken from the package ``rocrate``, which holds it.
"""

import argparse
import json
from importlib.resources import files
from typing import Any

import requests

CONTEXT = "https://w3id.org/ro/crate/1.3"


def send_without_network(self: requests.Session, request: requests.PreparedRequest, **_: Any) -> requests.Response:
    """The context of RO-Crate 1.3; everything else is not there."""
    response = requests.Response()
    response.url, response.request = str(request.url), request
    known = response.url.startswith(CONTEXT)
    response.status_code = 200 if known else 404
    response.headers["Content-Type"] = "application/ld+json"
    response._content = files("rocrate").joinpath("data/ro-crate.jsonld").read_bytes() if known else b""
    return response


def main() -> None:
    """Judge, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("crate")
    parser.add_argument("profile")
    parser.add_argument("severity", nargs="?", default="required")
    given = parser.parse_args()
    requests.Session.send = send_without_network  # type: ignore[method-assign]

    from rocrate_validator import models, services

    result = services.validate(
        services.ValidationSettings(
            rocrate_uri=given.crate,
            profile_identifier=given.profile,
            requirement_severity=getattr(models.Severity, given.severity.upper()),
            no_cache=True,
        )
    )
    issues = [f"{issue.severity.name} {issue.check.identifier}: {issue.message}" for issue in result.get_issues()]
    print(json.dumps({"passed": result.passed(), "checks": len(result.executed_checks), "issues": issues}))


if __name__ == "__main__":
    main()
