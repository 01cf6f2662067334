//! Exported libraries, modules, components and packs, file by file against what their ecosystems' documentation asks for. Each
//! rule stands beside its source.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read as _;
use std::path::Path;

use serde_json::Value;
use tinyspike::export::{self, ExportError, ExportOptions, Kind, Libraries, Project, Sample};
use tinyspike::image::ImageBuf;
use tinyspike_board::library::{CORES, Core};
use tinyspike_tests::mnist::project;

/// Libraries of a few bytes, one for each core: layouts do not depend on what is in them.
fn libraries(folder: &Path) -> Libraries {
    for core in &CORES {
        let own = folder.join(core.name);
        fs::create_dir_all(&own).unwrap();
        fs::write(
            own.join("libtinyspike.a"),
            format!("!<arch>\n{}", core.name),
        )
        .unwrap();
    }
    Libraries::Folder(folder.to_owned())
}

fn image() -> ImageBuf {
    ImageBuf::load(project("examples/embed/mnist.tsp")).unwrap()
}

fn exported(kind: Kind, name: &str, cores: &[&str]) -> Result<Project, ExportError> {
    let folder = tempfile::tempdir().unwrap();
    let image = image();
    let options = ExportOptions {
        name: name.into(),
        cores: cores
            .iter()
            .map(|name| Core::named(name).unwrap())
            .collect(),
        libraries: libraries(folder.path()),
    };
    let sample = Sample::made_up(&image.image());
    export::export(&image, &sample, kind, &options)
}

fn all() -> Vec<&'static str> {
    CORES.iter().map(|core| core.name).collect()
}

fn text<'p>(project: &'p Project, path: &str) -> &'p str {
    let bytes = project.file(path);
    let bytes = bytes.unwrap_or_else(|| panic!("there is no {path}"));
    std::str::from_utf8(bytes).unwrap()
}

fn paths(project: &Project) -> BTreeSet<&str> {
    project.files().map(|(path, _)| path).collect()
}

/// Checks that a library is there and is that of a core.
fn holds(project: &Project, path: &str, core: &str) {
    assert_eq!(text(project, path), format!("!<arch>\n{core}"), "{path}");
}

/// Placeholders of templates are filled in everywhere.
fn filled(project: &Project) {
    for (path, bytes) in project.files() {
        if let Ok(text) = std::str::from_utf8(bytes) {
            for left in [
                "@NAME@",
                "@UPPER@",
                "@VERSION@",
                "@STACK@",
                "@TARGETS@",
                "@ARENA@",
            ] {
                assert!(!text.contains(left), "{path}: {left}");
            }
        }
    }
}

/// <https://arduino.github.io/arduino-cli/latest/library-specification/>
#[test]
fn an_arduino_library_follows_the_specification() {
    let project = exported(Kind::Arduino, "digits", &all()).unwrap();
    filled(&project);
    // "Every field in this file is UTF-8 encoded. Unless noted otherwise below, all fields are required."
    let properties: BTreeMap<&str, &str> = (text(&project, "library.properties").lines())
        .map(|line| line.split_once('=').expect("key=value"))
        .collect();
    for field in [
        "name",
        "version",
        "author",
        "maintainer",
        "sentence",
        "paragraph",
        "category",
        "url",
        "architectures",
    ] {
        assert!(
            properties.get(field).is_some_and(|value| !value.is_empty()),
            "{field}"
        );
    }
    // "Library names must contain only basic letters and numbers, spaces, underscores, dots and dashes. They must start with a
    // letter or number. They must contain at least one letter."
    let name = properties["name"];
    assert!(name.starts_with(|c: char| c.is_ascii_alphanumeric()));
    assert!(
        name.chars()
            .all(|c| c.is_ascii_alphanumeric() || " _.-".contains(c))
    );
    // "Version should be semver compliant."
    let numbers = properties["version"].split('.').map(str::parse::<u32>);
    assert_eq!(numbers.filter(Result::is_ok).count(), 3);
    // "allowed values"
    let categories = [
        "Display",
        "Communication",
        "Signal Input/Output",
        "Sensors",
        "Device Control",
        "Timing",
        "Data Storage",
        "Data Processing",
        "Other",
    ];
    assert!(categories.contains(&properties["category"]));
    // "true - Source files are always compiled", "The static library should be linked as an ldflag"
    assert_eq!(properties["precompiled"], "true");
    assert_eq!(properties["ldflags"], "-ltinyspike");
    // "a comma separated list of files of the library to be added to the sketch"
    assert!(
        project
            .file(&format!("src/{}", properties["includes"]))
            .is_some()
    );
    // "The binaries must be located at src/{build.mcu}", "The filenames of the compiled binaries should start with lib",
    // "src/{build.mcu}/{build.fpu}-{build.float-abi}"
    for (folder, core) in [
        ("cortex-m0plus", "cortex-m0"),
        ("cortex-m3", "cortex-m3"),
        ("cortex-m4", "cortex-m4"),
        ("cortex-m4/fpv4-sp-d16-softfp", "cortex-m4"),
        ("cortex-m4/fpv4-sp-d16-hard", "cortex-m4hf"),
        ("cortex-m33", "cortex-m33"),
        ("esp32c3", "rv32imc"),
        ("esp32c6", "rv32imac"),
    ] {
        holds(&project, &format!("src/{folder}/libtinyspike.a"), core);
    }
    // "Library examples must be placed in the examples folder"; sketches: "the file name must match the folder name"
    // (https://arduino.github.io/arduino-cli/latest/sketch-specification/).
    assert!(text(&project, "examples/Check/Check.ino").contains("digits_check"));
    assert!(text(&project, "examples/Check/check.c").contains("int digits_check(void)\n{"));
    assert!(!text(&project, "examples/Check/check.c").contains("int main"));
    // "keywords.txt is formatted in four fields which are separated by a single true tab", trailing ones may be left out.
    for line in text(&project, "keywords.txt").lines() {
        let fields: Vec<&str> = line.split('\t').collect();
        assert!((2..=4).contains(&fields.len()), "{line}");
        assert!(
            ["KEYWORD1", "KEYWORD2", "LITERAL1"].contains(&fields[1]),
            "{line}"
        );
    }
    // "The library root folder name must start with a basic letter or number, followed by basic letters, numbers, underscores,
    // dots and dashes. The maximum length is 63 characters."; nothing but folders and files of the specification is in it.
    for path in paths(&project) {
        let known = ["src/", "examples/", "library.properties", "keywords.txt"];
        assert!(known.iter().any(|start| path.starts_with(start)), "{path}");
        // "The source code found in src folder and all its subfolders is compiled": no example's code is there.
        assert!(!path.starts_with("src/") || !path.ends_with("check.c"));
    }
    let zip = project.zip("tinyspike_digits").unwrap();
    let mut archive = zip::ZipArchive::new(std::io::Cursor::new(zip)).unwrap();
    assert_eq!(archive.len(), project.files().count());
    let mut found = String::new();
    let mut file = archive
        .by_name("tinyspike_digits/library.properties")
        .unwrap();
    file.read_to_string(&mut found).unwrap();
    assert_eq!(found, text(&project, "library.properties"));
}

/// <https://docs.zephyrproject.org/latest/develop/modules.html>
#[test]
fn a_zephyr_module_has_what_modules_have() {
    let project = exported(Kind::Zephyr, "digits", &all()).unwrap();
    filled(&project);
    // "a module.yml file in a zephyr/ folder at the root of the module": name, build with cmake (a folder with CMakeLists.txt) and
    // kconfig (a file), samples (folders).
    let module = text(&project, "zephyr/module.yml");
    assert_eq!(
        module,
        "name: tinyspike_digits\nbuild:\n  cmake: .\n  kconfig: Kconfig\nsamples:\n  - samples\n"
    );
    let (lists, kconfig) = (text(&project, "CMakeLists.txt"), text(&project, "Kconfig"));
    // Kconfig language: an option, its type with a prompt, its help.
    assert!(kconfig.starts_with("config TINYSPIKE_DIGITS\n\tbool \""));
    assert!(kconfig.contains("\n\thelp\n\t  "));
    // The option and the library's functions of https://docs.zephyrproject.org/latest/build/zephyr_cmake_package.html and of
    // cmake/modules/extensions.cmake: zephyr_library_import takes a name and a path.
    assert!(lists.contains("if(CONFIG_TINYSPIKE_DIGITS)"));
    assert!(lists.contains("zephyr_library_import(tinyspike_engine ${library})"));
    assert!(lists.contains("zephyr_library_sources(src/digits.c)"));
    // Every library that the lists can choose is there.
    for core in all().into_iter().filter(|core| *core != "host") {
        holds(&project, &format!("lib/{core}/libtinyspike.a"), core);
    }
    for file in ["include/digits.h", "include/tinyspike.h", "src/digits.c"] {
        assert!(project.file(file).is_some(), "{file}");
    }
    // An application has CMakeLists.txt, prj.conf and src/main.c
    // (https://docs.zephyrproject.org/latest/develop/application/index.html); a sample sample.yaml and a README.rst.
    let sample = |file: &str| text(&project, &format!("samples/check/{file}")).to_owned();
    let application = sample("CMakeLists.txt");
    let [minimum, package, name] = [
        "cmake_minimum_required(",
        "find_package(Zephyr REQUIRED",
        "project(",
    ]
    .map(|call| application.find(call).expect(call));
    assert!(minimum < package && package < name);
    assert!(sample("prj.conf").contains("CONFIG_TINYSPIKE_DIGITS=y\n"));
    let yaml = sample("sample.yaml");
    for key in [
        "sample:\n  name: ",
        "tests:\n  sample.",
        "    harness: console\n",
    ] {
        assert!(yaml.contains(key), "{key}");
    }
    // What twister waits for is what the sample prints.
    let expected = yaml
        .lines()
        .last()
        .unwrap()
        .trim()
        .trim_start_matches("- ")
        .trim_matches('"');
    assert!(sample("src/main.c").contains(expected));
    assert!(sample("src/check.c").contains("int digits_check(void)\n{"));
    assert!(sample("README.rst").starts_with("Check of the model\n####"));
    for file in application
        .lines()
        .last()
        .unwrap()
        .split(['(', ' ', ')'])
        .filter(|word| word.ends_with(".c"))
    {
        sample(file);
    }
}

/// <https://docs.espressif.com/projects/idf-component-manager/en/latest/reference/manifest_file.html> and
/// <https://docs.espressif.com/projects/esp-idf/en/latest/esp32c3/api-guides/build-system.html>
#[test]
fn an_esp_idf_component_registers_its_library() {
    let project = exported(
        Kind::EspIdf,
        "digits",
        &["rv32imc", "rv32imac", "cortex-m4"],
    )
    .unwrap();
    filled(&project);
    let manifest = text(&project, "idf_component.yml");
    // "version: This field is required when uploading", by the versioning scheme of three numbers.
    let version = manifest.lines().next().unwrap();
    let version = version
        .strip_prefix("version: \"")
        .unwrap()
        .trim_end_matches('"');
    assert_eq!(
        version
            .split('.')
            .filter_map(|n| n.parse::<u32>().ok())
            .count(),
        3
    );
    // "A list of targets that the component supports"
    let targets: Vec<&str> = (manifest.lines())
        .filter_map(|line| line.strip_prefix("  - "))
        .collect();
    assert_eq!(
        targets,
        [
            "esp32c2", "esp32c3", "esp32c5", "esp32c6", "esp32c61", "esp32h2"
        ]
    );
    assert!(
        manifest.contains("license: \"MIT OR Apache-2.0\"") && manifest.contains("\n  idf: \">=")
    );
    let lists = text(&project, "CMakeLists.txt");
    // "idf_component_register(...)" registers; "add_prebuilt_library(target_name lib_path)"; then
    // "target_link_libraries(${COMPONENT_LIB} INTERFACE target_name)".
    let calls = [
        "idf_component_register(SRCS \"src/digits.c\" INCLUDE_DIRS \"include\")",
        "add_prebuilt_library(tinyspike_digits_engine ${library})",
        "target_link_libraries(${COMPONENT_LIB} INTERFACE tinyspike_digits_engine)",
    ];
    let places = calls.map(|call| lists.find(call).expect(call));
    assert!(places.is_sorted());
    for (core, target) in [("rv32imc", "esp32c3"), ("rv32imac", "esp32c6")] {
        holds(&project, &format!("lib/{core}/libtinyspike.a"), core);
        assert!(lists.contains(&format!("\"{target}\"")));
    }
    assert!(project.file("lib/cortex-m4/libtinyspike.a").is_none());
    // A project: "include($ENV{IDF_PATH}/tools/cmake/project.cmake)" before "project(name)", and a component main.
    let example = text(&project, "examples/check/CMakeLists.txt");
    assert!(example.find("project.cmake)") < example.find("project(check)"));
    let main = text(&project, "examples/check/main/CMakeLists.txt");
    assert!(main.starts_with("idf_component_register(SRCS \"main.c\" \"check.c\""));
    // "override_path": the local folder of a dependency, from the manifest's folder: three up is the component's root.
    let dependency = text(&project, "examples/check/main/idf_component.yml");
    assert!(
        dependency.contains("  tinyspike_digits:\n")
            && dependency.contains("override_path: \"../../../\"")
    );
    assert!(text(&project, "examples/check/main/main.c").contains("void app_main(void)"));
    let error = exported(Kind::EspIdf, "digits", &["cortex-m4"]).unwrap_err();
    assert!(matches!(error, ExportError::NoCore { .. }) && error.to_string().contains("rv32imc"));
}

/// <https://docs.platformio.org/en/latest/manifests/library-json/index.html>
#[test]
fn a_platformio_library_has_a_manifest() {
    let project = exported(Kind::PlatformIo, "digits", &all()).unwrap();
    filled(&project);
    let manifest: Value = serde_json::from_str(text(&project, "library.json")).unwrap();
    // "name: Required | Type: String | Max. Length: 50", "Consecutive dashes and [:;/,@<>] chars are not allowed"
    let name = manifest["name"].as_str().unwrap();
    assert!(name.len() <= 50 && !name.contains([':', ';', '/', ',', '@', '<', '>']));
    // "version: Required | Max. Length: 20", semantic; "description: Max. Length: 255"
    assert!(manifest["version"].as_str().unwrap().len() <= 20);
    assert!(manifest["description"].as_str().unwrap().len() <= 255);
    // "license: SPDX License ID or an expression"; "frameworks", "platforms": "*" for all
    assert_eq!(manifest["license"], "MIT OR Apache-2.0");
    assert_eq!(
        (&manifest["frameworks"], &manifest["platforms"]),
        (&"*".into(), &"*".into())
    );
    // "examples": name, base and files
    let example = &manifest["examples"][0];
    for file in example["files"].as_array().unwrap() {
        let base = example["base"].as_str().unwrap();
        assert!(
            project
                .file(&format!("{base}/{}", file.as_str().unwrap()))
                .is_some(),
            "{file}"
        );
    }
    // "headers", "build": srcDir, includeDir, extraScript
    let build = &manifest["build"];
    let include = build["includeDir"].as_str().unwrap();
    let header = manifest["headers"].as_str().unwrap();
    assert!(project.file(&format!("{include}/{header}")).is_some());
    assert!(
        project
            .file(&format!("{}/digits.c", build["srcDir"].as_str().unwrap()))
            .is_some()
    );
    let script = text(&project, build["extraScript"].as_str().unwrap());
    assert!(script.contains("Import(\"env\")") && script.contains("LIBS=[\"tinyspike\"]"));
    for core in all() {
        holds(&project, &format!("lib/{core}/libtinyspike.a"), core);
    }
}

/// <https://open-cmsis-pack.github.io/Open-CMSIS-Pack-Spec/main/html/packFormat.html>
#[test]
fn a_pack_describes_every_file_that_it_has() {
    let project = exported(Kind::CmsisPack, "digits", &all()).unwrap();
    filled(&project);
    // "<vendor>.<name>.<version>.pack", and "<vendor>.<name>.pdsc" in it.
    assert_eq!(export::pack_name("digits"), "tinyspike.digits.0.1.0.pack");
    let description = text(&project, "tinyspike.digits.pdsc");
    // The elements of /package in the order of the schema: vendor, name, description, url, license, releases, conditions, components.
    let elements = [
        "<vendor>tinyspike</vendor>",
        "<name>digits</name>",
        "<description>",
        "<url>",
        "<license>",
        "<releases>",
        "<release version=\"0.1.0\">",
        "<conditions>",
        "<components>",
        "<component Cclass=\"Machine Learning\" Cgroup=\"tinyspike\" Csub=\"digits\" Cversion=\"0.1.0\">",
    ];
    let places = elements.map(|element| description.find(element).expect(element));
    assert!(places.is_sorted());
    // "name: name of the file, with its path from the pack's root": each is there, and each file is described.
    let attribute = |name: &str| -> BTreeSet<String> {
        let start = format!(" {name}=\"");
        let parts = description.split(&start).skip(1);
        parts
            .map(|part| part.split('"').next().unwrap().to_owned())
            .collect()
    };
    let mut named = attribute("name");
    assert!(named.remove("include/"));
    named.insert("tinyspike.digits.pdsc".into());
    named.insert("LICENSE.txt".into());
    let found: BTreeSet<String> = paths(&project).into_iter().map(str::to_owned).collect();
    assert_eq!(named, found);
    // "condition: the id of a condition element"
    assert!(attribute("condition").is_subset(&attribute("id")));
    let arm = |core: &&Core| {
        core.target
            .is_some_and(|target| target.starts_with("thumb"))
    };
    assert_eq!(
        attribute("condition").len(),
        CORES.iter().filter(arm).count()
    );
    // Dcore, Dfpu and Ddsp have the schema's values.
    for core in attribute("Dcore") {
        assert!(core.starts_with("Cortex-M"), "{core}");
    }
    for (name, values) in [
        ("Dfpu", &["NO_FPU", "SP_FPU", "DP_FPU"][..]),
        ("Ddsp", &["DSP", "NO_DSP"]),
    ] {
        let values: BTreeSet<String> = values.iter().map(|value| (*value).to_owned()).collect();
        assert_eq!(attribute(name), values);
    }
    let open = description.matches("<condition ").count();
    assert_eq!(open, description.matches("</condition>").count());
    assert!(matches!(
        exported(Kind::CmsisPack, "digits", &["rv32imc"]),
        Err(ExportError::NoCore { .. })
    ));
}

#[test]
fn a_crate_names_the_parts_that_it_needs() {
    let project = exported(Kind::Rust, "digits", &[]).unwrap();
    filled(&project);
    let manifest = text(&project, "Cargo.toml");
    assert!(manifest.starts_with("[package]\nname = \"digits\"\n"));
    assert!(manifest.contains("default-features = false, features = [\"convolutions\""));
    assert!(manifest.contains("\n[workspace]\n"));
    let main = text(&project, "src/main.rs");
    assert!(main.contains("Engine::<Native, 3, 4>::new"));
    assert_eq!(project.file("model.tsp").unwrap(), image().image().bytes());
}
