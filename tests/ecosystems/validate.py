"""Validates exported projects with their ecosystems' own packages: idf-component-manager, platformio and kconfiglib.

Run by `cargo xtask test-ecosystems`, with the folder of the projects as its argument.
"""

import sys
from pathlib import Path

import kconfiglib
from idf_component_tools.manager import ManifestManager
from platformio.package.manifest.parser import ManifestParserFactory
from platformio.package.manifest.schema import ManifestSchema

# Licences come from the web; these two are all that exports name.
LICENCES = {"licenses": [{"licenseId": "MIT"}, {"licenseId": "Apache-2.0"}]}


def main():
    root = Path(sys.argv[1])
    for path in ["esp-idf", "esp-idf/examples/check/main"]:
        ManifestManager(root / path, name="component").validate()
        print(f"{path}/idf_component.yml: valid")

    zephyr = kconfiglib.Kconfig(str(root / "zephyr/Kconfig"))
    option = zephyr.syms["TINYSPIKE_MODEL"]
    assert option.type == kconfiglib.BOOL and not zephyr.warnings, zephyr.warnings
    print("zephyr/Kconfig: valid")

    ManifestSchema.load_spdx_licenses = lambda *_: LICENCES
    for path in ["platformio/library.json", "arduino/library.properties"]:
        parsed = ManifestParserFactory.new_from_file(str(root / path)).as_dict()
        ManifestSchema().load_manifest(parsed)
        print(f"{path}: valid")


main()
