//! Projects in the layouts of Arduino, Zephyr, ESP-IDF, PlatformIO and CMSIS-Pack. Each function names the page with the rules that
//! its layout follows; the tests in `tests/tests/layouts.rs` check them one by one.

use std::collections::BTreeSet;

use tinyspike_board::library::Core;

use super::c::{add_sources, named, source_of};
use super::project::{Keep, Project};
use super::{ExportError, Model};

/// The version of a project: that of this program.
const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The project's page.
const URL: &str = "https://docs.rs/tinyspike";

/// The check of `main.c` as a function for another `main`.
fn check(name: &str) -> String {
    let text = named(source_of("main.c"), name);
    let text = text.replace(
        "int main(void)\n{",
        &format!("int {name}_check(void);\n\nint {name}_check(void)\n{{"),
    );
    text.replace(
        "and returns 0 only",
        "and returns 0 from the function at its end only",
    )
}

/// Fills in what texts of a layout leave open.
fn filled(text: &str, model: &Model<'_>) -> String {
    let name = &model.options.name;
    // The callers' own frames come on top of the engine's.
    let stack = model.stack() + 4096;
    let text = named(text, name);
    text.replace("@UPPER@", &name.to_uppercase())
        .replace("@VERSION@", VERSION)
        .replace("@STACK@", &stack.to_string())
}

/// Adds header and model, in the folders of a layout.
fn add_model(project: &mut Project, model: &Model<'_>, include: &str, src: &str) {
    let name = &model.options.name;
    let mut all = Project::default();
    add_sources(&mut all, "", model);
    for (file, bytes) in all.files() {
        if file == format!("{name}.h") {
            project.add(format!("{include}{file}"), bytes, Keep::Replace);
        } else if file == format!("{name}.c") {
            project.add(format!("{src}{file}"), bytes, Keep::Replace);
        }
    }
    let header = tinyspike_c::HEADER;
    project.add(format!("{include}tinyspike.h"), header, Keep::Replace);
}

/// Adds the sample and its check to a folder that ends in `/`.
fn add_check(project: &mut Project, model: &Model<'_>, folder: &str) {
    let mut all = Project::default();
    add_sources(&mut all, "", model);
    if let Some(sample) = all.file("sample.h") {
        project.add(format!("{folder}sample.h"), sample, Keep::Replace);
    }
    let text = check(&model.options.name);
    project.add(format!("{folder}check.c"), text, Keep::Keep);
}

/// Adds the library of each core that `serves` accepts as `lib/CORE/libtinyspike.a`.
fn add_libraries(
    project: &mut Project,
    model: &Model<'_>,
    serves: impl Fn(&Core) -> bool,
) -> Result<(), ExportError> {
    for core in model.options.cores.iter().filter(|core| serves(core)) {
        let library = model.options.libraries.library(core, model.image)?;
        let path = format!("lib/{}/libtinyspike.a", core.name);
        project.add(path, library, Keep::Replace);
    }
    Ok(())
}

/// Folders below `src` in which Arduino looks for a core's library: `{build.mcu}`, or `{build.mcu}/{build.fpu}-{build.float-abi}`.
fn arduino_folders(core: &Core) -> &'static [&'static str] {
    match core.name {
        "cortex-m0" => &["cortex-m0", "cortex-m0plus"],
        "cortex-m3" => &["cortex-m3"],
        // Code for `softfp` passes floats as code for `soft` does.
        "cortex-m4" => &[
            "cortex-m4",
            "cortex-m4/fpv4-sp-d16-softfp",
            "cortex-m7",
            "cortex-m7/fpv5-d16-softfp",
        ],
        "cortex-m4hf" => &["cortex-m4/fpv4-sp-d16-hard", "cortex-m7/fpv5-d16-hard"],
        "cortex-m23" => &["cortex-m23"],
        "cortex-m33" => &["cortex-m33", "cortex-m33/fpv5-sp-d16-softfp"],
        "cortex-m33hf" => &["cortex-m33/fpv5-sp-d16-hard"],
        "cortex-m55" => &["cortex-m55"],
        "rv32imc" => &["esp32c3"],
        "rv32imac" => &["esp32c6", "esp32h2"],
        "rv32imafc" => &["esp32p4"],
        _ => &[],
    }
}

/// A library for the Arduino IDE, by
/// <https://arduino.github.io/arduino-cli/latest/library-specification/>: the files below its root folder `tinyspike_NAME`.
pub(super) fn arduino(model: &Model<'_>) -> Result<Project, ExportError> {
    let name = &model.options.name;
    let mut project = Project::default();
    let properties = format!(
        "name=tinyspike_{name}\n\
         version={VERSION}\n\
         author=The tinyspike developers\n\
         maintainer=The tinyspike developers\n\
         sentence=The tinyspike engine with the model {name}.\n\
         paragraph=A spiking network for microcontrollers, as constant data and a precompiled engine.\n\
         category=Data Processing\n\
         url={URL}\n\
         architectures=*\n\
         includes={name}.h\n\
         precompiled=true\n\
         ldflags=-ltinyspike\n"
    );
    project.add("library.properties", properties, Keep::Replace);
    let keywords = format!(
        "ts_state\tKEYWORD1\nts_open\tKEYWORD2\nts_set_input\tKEYWORD2\nts_infer\tKEYWORD2\nts_class\tKEYWORD2\n{name}_image\tLITERAL1\n"
    );
    project.add("keywords.txt", keywords, Keep::Replace);
    add_model(&mut project, model, "src/", "src/");
    let sketch = filled(include_str!("arduino/Check.ino"), model);
    project.add("examples/Check/Check.ino", sketch, Keep::Keep);
    add_check(&mut project, model, "examples/Check/");
    for core in &model.options.cores {
        let folders = arduino_folders(core);
        if folders.is_empty() {
            continue;
        }
        let library = model.options.libraries.library(core, model.image)?;
        for folder in folders {
            let path = format!("src/{folder}/libtinyspike.a");
            project.add(path, library.clone(), Keep::Replace);
        }
    }
    Ok(project)
}

/// A module of Zephyr's, by <https://docs.zephyrproject.org/latest/develop/modules.html>.
pub(super) fn zephyr(model: &Model<'_>) -> Result<Project, ExportError> {
    let mut project = Project::default();
    let sample = "samples/check/";
    for (path, text) in [
        ("zephyr/module.yml", include_str!("zephyr/module.yml")),
        ("CMakeLists.txt", include_str!("zephyr/CMakeLists.txt")),
        ("Kconfig", include_str!("zephyr/Kconfig")),
    ] {
        project.add(path, filled(text, model), Keep::Replace);
    }
    for (path, text) in [
        (
            "CMakeLists.txt",
            include_str!("zephyr/samples/check/CMakeLists.txt"),
        ),
        ("prj.conf", include_str!("zephyr/samples/check/prj.conf")),
        (
            "sample.yaml",
            include_str!("zephyr/samples/check/sample.yaml"),
        ),
        (
            "README.rst",
            include_str!("zephyr/samples/check/README.rst"),
        ),
        ("src/main.c", include_str!("zephyr/samples/check/main.c")),
    ] {
        project.add(format!("{sample}{path}"), filled(text, model), Keep::Keep);
    }
    add_model(&mut project, model, "include/", "src/");
    add_check(&mut project, model, "samples/check/src/");
    add_libraries(&mut project, model, |core| core.target.is_some())?;
    Ok(project)
}

/// Chips of Espressif's that a core's library runs on.
fn esp_targets(core: &Core) -> &'static [&'static str] {
    match core.name {
        "rv32imc" => &["esp32c2", "esp32c3"],
        "rv32imac" => &["esp32c5", "esp32c6", "esp32c61", "esp32h2"],
        "rv32imafc" => &["esp32p4"],
        _ => &[],
    }
}

/// A component of ESP-IDF's, by
/// <https://docs.espressif.com/projects/esp-idf/en/latest/esp32c3/api-guides/build-system.html> and
/// <https://docs.espressif.com/projects/idf-component-manager/en/latest/reference/manifest_file.html>.
pub(super) fn esp_idf(model: &Model<'_>) -> Result<Project, ExportError> {
    let mut project = Project::default();
    let cores = model.options.cores.iter();
    let targets: BTreeSet<&str> = cores.flat_map(|core| esp_targets(core)).copied().collect();
    if targets.is_empty() {
        return Err(ExportError::NoCore {
            what: "ESP-IDF",
            cores: "rv32imc, rv32imac or rv32imafc",
        });
    }
    let targets: Vec<String> = targets
        .iter()
        .map(|target| format!("  - {target}"))
        .collect();
    let manifest = filled(include_str!("esp_idf/idf_component.yml"), model);
    let manifest = manifest.replace("@TARGETS@", &targets.join("\n"));
    project.add("idf_component.yml", manifest, Keep::Replace);
    let lists = filled(include_str!("esp_idf/CMakeLists.txt"), model);
    project.add("CMakeLists.txt", lists, Keep::Replace);
    for (path, text) in [
        (
            "CMakeLists.txt",
            include_str!("esp_idf/example_CMakeLists.txt"),
        ),
        (
            "main/CMakeLists.txt",
            include_str!("esp_idf/example_main_CMakeLists.txt"),
        ),
        (
            "main/idf_component.yml",
            include_str!("esp_idf/example_main_idf_component.yml"),
        ),
        ("main/main.c", include_str!("esp_idf/main.c")),
    ] {
        let path = format!("examples/check/{path}");
        project.add(path, filled(text, model), Keep::Keep);
    }
    add_model(&mut project, model, "include/", "src/");
    add_check(&mut project, model, "examples/check/main/");
    add_libraries(&mut project, model, |core| !esp_targets(core).is_empty())?;
    Ok(project)
}

/// A library of PlatformIO's, by <https://docs.platformio.org/en/latest/manifests/library-json/index.html>.
pub(super) fn platformio(model: &Model<'_>) -> Result<Project, ExportError> {
    let name = &model.options.name;
    let mut project = Project::default();
    let manifest = serde_json::json!({
        "$schema": "https://raw.githubusercontent.com/platformio/platformio-core/develop/platformio/assets/schema/library.json",
        "name": format!("tinyspike_{name}"),
        "version": VERSION,
        "description": format!("The tinyspike engine with the model {name}: a spiking network for microcontrollers"),
        "keywords": ["neural network", "spiking", "inference"],
        "homepage": URL,
        "authors": [{ "name": "The tinyspike developers" }],
        "license": "MIT OR Apache-2.0",
        "frameworks": "*",
        "platforms": "*",
        "headers": format!("{name}.h"),
        "examples": [{ "name": "Check", "base": "examples/check", "files": ["main.c", "check.c", "sample.h"] }],
        "build": {
            "includeDir": "include",
            "srcDir": "src",
            "extraScript": "choose_library.py"
        }
    });
    let manifest = format!("{manifest:#}\n");
    project.add("library.json", manifest, Keep::Replace);
    let script = include_str!("platformio/choose_library.py");
    project.add("choose_library.py", script, Keep::Replace);
    let main = filled(include_str!("platformio/main.c"), model);
    project.add("examples/check/main.c", main, Keep::Keep);
    add_model(&mut project, model, "include/", "src/");
    add_check(&mut project, model, "examples/check/");
    add_libraries(&mut project, model, |_| true)?;
    Ok(project)
}

/// Conditions of CMSIS-Pack for a core: attributes of its `require` element; `None` for cores that are not Arm's.
fn cmsis_conditions(core: &Core) -> Option<&'static [&'static str]> {
    Some(match core.name {
        "cortex-m0" => &[
            r#"Dcore="Cortex-M0""#,
            r#"Dcore="Cortex-M0+""#,
            r#"Dcore="Cortex-M1""#,
        ],
        "cortex-m3" => &[r#"Dcore="Cortex-M3""#],
        "cortex-m4" => &[
            r#"Dcore="Cortex-M4" Dfpu="NO_FPU""#,
            r#"Dcore="Cortex-M7" Dfpu="NO_FPU""#,
        ],
        "cortex-m4hf" => &[
            r#"Dcore="Cortex-M4" Dfpu="SP_FPU""#,
            r#"Dcore="Cortex-M7" Dfpu="SP_FPU""#,
            r#"Dcore="Cortex-M7" Dfpu="DP_FPU""#,
        ],
        "cortex-m23" => &[r#"Dcore="Cortex-M23""#],
        "cortex-m33" => &[r#"Dcore="Cortex-M33" Ddsp="DSP" Dfpu="NO_FPU""#],
        "cortex-m33hf" => &[r#"Dcore="Cortex-M33" Ddsp="DSP" Dfpu="SP_FPU""#],
        "cortex-m33-nodsp" => &[r#"Dcore="Cortex-M33" Ddsp="NO_DSP" Dfpu="NO_FPU""#],
        "cortex-m33-nodsp-hf" => &[r#"Dcore="Cortex-M33" Ddsp="NO_DSP" Dfpu="SP_FPU""#],
        "cortex-m55" => &[r#"Dcore="Cortex-M55" Dfpu="NO_FPU""#],
        "cortex-m55hf" => &[
            r#"Dcore="Cortex-M55" Dfpu="SP_FPU""#,
            r#"Dcore="Cortex-M55" Dfpu="DP_FPU""#,
        ],
        _ => return None,
    })
}

/// The name of a pack's archive.
pub(super) fn pack_name(name: &str) -> String {
    format!("tinyspike.{name}.{VERSION}.pack")
}

/// A pack, by <https://open-cmsis-pack.github.io/Open-CMSIS-Pack-Spec/main/html/packFormat.html>.
pub(super) fn cmsis_pack(model: &Model<'_>) -> Result<Project, ExportError> {
    let name = &model.options.name;
    let mut project = Project::default();
    let (mut conditions, mut files) = (String::new(), String::new());
    for core in &model.options.cores {
        let Some(own) = cmsis_conditions(core) else {
            continue;
        };
        let own: String = own
            .iter()
            .map(|one| format!("      <accept {one}/>\n"))
            .collect();
        conditions += &format!(
            "    <condition id=\"{}\">\n      <description>{}</description>\n{own}    </condition>\n",
            core.name, core.about
        );
        files += &format!(
            "        <file category=\"library\" name=\"lib/{0}/libtinyspike.a\" condition=\"{0}\"/>\n",
            core.name
        );
        let library = model.options.libraries.library(core, model.image)?;
        let path = format!("lib/{}/libtinyspike.a", core.name);
        project.add(path, library, Keep::Replace);
    }
    if files.is_empty() {
        return Err(ExportError::NoCore {
            what: "a CMSIS-Pack",
            cores: "one of the Cortex-M cores",
        });
    }
    let description = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <package schemaVersion=\"1.7.7\" xmlns:xs=\"http://www.w3.org/2001/XMLSchema-instance\" xs:noNamespaceSchemaLocation=\"https://raw.githubusercontent.com/Open-CMSIS-Pack/Open-CMSIS-Pack-Spec/v1.7.7/schema/PACK.xsd\">\n\
         \x20 <vendor>tinyspike</vendor>\n\
         \x20 <name>{name}</name>\n\
         \x20 <description>The tinyspike engine with the model {name}: a spiking network for microcontrollers</description>\n\
         \x20 <url>{URL}</url>\n\
         \x20 <license>LICENSE.txt</license>\n\
         \x20 <releases>\n    <release version=\"{VERSION}\">Exported by tinyspike {VERSION}</release>\n  </releases>\n\
         \x20 <conditions>\n{conditions}  </conditions>\n\
         \x20 <components>\n\
         \x20   <component Cclass=\"Machine Learning\" Cgroup=\"tinyspike\" Csub=\"{name}\" Cversion=\"{VERSION}\">\n\
         \x20     <description>Engine and model</description>\n\
         \x20     <files>\n\
         \x20       <file category=\"include\" name=\"include/\"/>\n\
         \x20       <file category=\"header\" name=\"include/tinyspike.h\"/>\n\
         \x20       <file category=\"header\" name=\"include/{name}.h\"/>\n\
         \x20       <file category=\"source\" name=\"src/{name}.c\"/>\n\
         {files}\
         \x20     </files>\n    </component>\n  </components>\n\
         </package>\n"
    );
    project.add(format!("tinyspike.{name}.pdsc"), description, Keep::Replace);
    let license =
        "The engine: Apache License 2.0 or MIT, at your option. The model is its maker's.\n";
    project.add("LICENSE.txt", license, Keep::Replace);
    add_model(&mut project, model, "include/", "src/");
    Ok(project)
}
