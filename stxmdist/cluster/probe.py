"""What a worker finds where it runs: this text is sent to it, so that it works where the product is not installed."""


def look(asked: dict[str, list[str]]) -> dict[str, object]:
    """Versions of packages, which files are seen, and the answer to a note in the store; all of it plain values."""
    import os
    import platform
    import socket
    import sys
    from importlib import import_module, metadata

    versions: dict[str, str] = {}
    found: dict[str, object] = {
        "host": socket.gethostname(),
        "python": platform.python_version(),
        "executable": sys.executable,
    }
    for name in asked["packages"]:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = ""
    found["versions"] = versions
    try:
        found["stxmdist"] = import_module("stxmdist").__version__
        here = import_module("stxmdist.campaign.places").place_here
        import_module("stxmdist.runner.perform")
        place_of = import_module("storage.place").place_of
        replace_file = import_module("storage.atomic").replace_file
    except Exception as error:
        return found | {"import_error": f"{type(error).__name__}: {error}"}
    found["unseen"] = [path for path in asked["files"] if not os.path.exists(here(path))][:3]
    for note in map(here, asked["notes"]):
        found["note"] = note
        try:
            place = place_of(note)
            found["read"] = text = place.read_text()
            own = place.with_name(f"{place.name}.own")
            replace_file(own, [text.encode()])
            found["read_again"] = own.read_text()
            own.unlink()
            replace_file(place.with_name(f"{place.name}.answer"), [text[::-1].encode()])
        except Exception as error:
            found["store_error"] = f"{type(error).__name__}: {error}"
    return found
