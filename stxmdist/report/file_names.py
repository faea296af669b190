"""Where the report's pages of scans lie."""

SCANS = "scans"
"""Folder of the pages of scans inside the report"""


def file_names(scan_ids: list[str]) -> list[str]:
    """Names of files for scans: what is no letter or digit of theirs becomes a line, and no two are alike."""
    names: list[str] = []
    taken: set[str] = set()
    for scan_id in scan_ids:
        name = "".join(letter if letter.isalnum() or letter in "-_." else "-" for letter in scan_id)
        while name.lower() in taken:
            name += "-"
        names.append(name)
        taken.add(name.lower())
    return names
