//! `chips`, `probes` and `flash` as a user meets them. None of this touches a board, or needs one.

use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;

#[path = "tool/dead_probes.rs"]
mod dead_probes;
mod tool;

use tool::{json, path, project, text, tinyspike};

/// Runs a command that must fail, and returns its message.
fn refusal(args: &[&str]) -> String {
    let output = tinyspike(args);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stdout));
    text(&output.stderr)
}

/// Converts a bundled model, with bounds from its weights.
fn convert(model: &str, folder: &TempDir, target: &str) -> PathBuf {
    let image = folder.path().join("image.tsp");
    let model = project(model);
    let flags = ["--inference-only", "--max-to-avg-pool", "--target", target];
    let output = tinyspike(&[&["convert", path(&model), "-o", path(&image)], &flags[..]].concat());
    assert!(output.status.success(), "{}", text(&output.stderr));
    image
}

/// The plan of writing an image alone, as JSON.
fn plan(image: &Path, chip: &str, more: &[&str]) -> Value {
    let flags = ["--chip", chip, "--model-only", "--dry-run", "--json"];
    let output = tinyspike(&[&["flash", path(image)], &flags[..], more].concat());
    json(&output)
}

fn number(value: &Value) -> u64 {
    value.as_u64().expect("a number")
}

fn end(region: &Value) -> u64 {
    number(&region["address"]) + number(&region["len"])
}

#[test]
fn chips_are_found_by_parts_of_their_names() {
    let found = json(&tinyspike(&["chips", "nrf52840", "--json"]));
    assert_eq!(found["count"], 1);
    let chip = &found["chips"][0];
    assert_eq!(chip["name"], "nRF52840_xxAA");
    assert_eq!(chip["family"], "nRF52 Series");
    assert_eq!(chip["core"]["architecture"], "armv7em");
    assert_eq!(
        (number(&chip["flash"]), number(&chip["ram"])),
        (1 << 20, 256 << 10)
    );
    assert_eq!(chip["flash_algorithm"], true);

    // A package of it, in which the database's x stands for any letter; and the family.
    for (search, name) in [("stm32f103c8t6", "STM32F103C8"), ("RP2040", "RP2040")] {
        let output = tinyspike(&["chips", search]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        let table = text(&output.stdout);
        assert!(table.lines().any(|line| line.starts_with(name)), "{table}");
        assert!(
            table.lines().last().unwrap().contains(" chips, "),
            "{table}"
        );
    }
    let family = json(&tinyspike(&["chips", "nrf51 series", "--json"]));
    assert!(number(&family["count"]) > 5);

    let message = refusal(&["chips", "nRF52480"]);
    assert!(message.contains("nRF52840_xxAA"), "{message}");
}

#[test]
fn a_wrong_name_comes_with_the_nearest() {
    let folder = TempDir::new().unwrap();
    let image = convert("models/mnist_small.keras", &folder, "cortex-m0");
    let flash = |chip: &str| refusal(&["flash", path(&image), "--chip", chip, "--dry-run"]);
    let message = flash("nRF52480_xxAA");
    assert!(
        message.contains("no chip is called \"nRF52480_xxAA\""),
        "{message}"
    );
    assert!(
        message.contains("nRF52840_xxAA") && message.contains("hint: `tinyspike chips"),
        "{message}"
    );
    let message = flash("STM32F4");
    assert!(
        message.contains("chips' names begin with \"STM32F4\""),
        "{message}"
    );
    assert!(flash("zzzz").contains("no chip is called \"zzzz\"\n"));
}

#[test]
fn a_plan_keeps_image_and_firmware_apart() {
    let folder = TempDir::new().unwrap();
    let image = convert("models/mnist_small.keras", &folder, "cortex-m0");
    let size = std::fs::metadata(&image).unwrap().len();
    for chip in [
        "nRF51822_xxAA",
        "STM32F407VG",
        "STM32L073RZ",
        "STM32H743ZI",
        "ATSAMD51J19A",
    ] {
        let done = plan(&image, chip, &[]);
        assert_eq!(done["flashed"], Value::Null);
        let plan = &done["plan"];
        let layout = &plan["layout"];
        let slots = &layout["slots"];
        let places = plan["places"].as_array().unwrap();
        let two = slots["second"] != Value::Null;
        assert_eq!(places.len(), if two { 2 } else { 1 }, "{chip}");
        let mode = if two { "inactive-slot" } else { "in-place" };
        assert_eq!(plan["mode"], mode, "{chip}");
        for (place, slot) in places.iter().zip([&slots["a"], &slots["second"]["b"]]) {
            let image = &place["image"];
            assert_eq!(number(&image["len"]), size, "{chip}");
            assert_eq!(image["address"], slot["address"], "{chip}");
            // What is erased begins with the image and ends in its slot.
            let erased = place["erased"].as_array().unwrap();
            let last = &erased[erased.len() - 1];
            assert!(end(last) >= end(image) && end(last) <= end(slot), "{chip}");
            assert_eq!(erased[0]["address"], image["address"], "{chip}");
            assert!(number(&image["address"]) >= end(&layout["firmware"]));
        }
        assert_eq!(plan["erased"], Value::Array(Vec::new()), "{chip}");
        for budget in plan["budgets"].as_array().unwrap() {
            let parts = budget["parts"].as_array().unwrap();
            let needed: u64 = parts.iter().map(|part| number(&part[1])).sum();
            assert!(
                needed > 0 && needed <= number(&budget["limit"]),
                "{chip}: {budget}"
            );
        }
    }
    // Elsewhere where the firmware is to have more flash.
    let moved = plan(&image, "nRF51822_xxAA", &["--firmware-size", "128K"]);
    let place = &moved["plan"]["places"][0]["image"];
    assert!(number(&place["address"]) >= 128 << 10);
}

#[test]
fn an_image_for_other_kernels_comes_with_a_warning() {
    let folder = TempDir::new().unwrap();
    // A Cortex-M0, a core with DSP instructions, and a Cortex-M3, which has the kernels of the first.
    let chips = [
        ("nRF51822_xxAA", "cortex-m0"),
        ("STM32F407VG", "cortex-m4"),
        ("STM32F103ZG", "cortex-m0"),
    ];
    for target in ["cortex-m0", "cortex-m4", "portable"] {
        let image = convert("models/mnist_small.keras", &folder, target);
        for (chip, own) in chips {
            let dry = ["--chip", chip, "--model-only", "--dry-run"];
            let output = tinyspike(&[&["flash", path(&image)], &dry[..]].concat());
            assert!(output.status.success());
            let said = text(&output.stderr);
            let warned = format!(
                "than those of {chip}: it will run, but slowly; convert with --target {own}"
            );
            assert_eq!(said.contains(&warned), target != own, "{target}: {said}");
        }
    }
}

#[test]
fn what_does_not_fit_is_refused_with_its_bytes() {
    let folder = TempDir::new().unwrap();
    let image = convert("models/mnist_mlp.keras", &folder, "cortex-m0");
    let size = std::fs::metadata(&image).unwrap().len().to_string();
    let flash = |image: &Path, chip: &str, more: &[&str]| {
        refusal(&[&["flash", path(image), "--chip", chip, "--dry-run"], more].concat())
    };
    let message = flash(&image, "STM32F103CB", &["--model-only"]);
    assert!(
        message.contains("STM32F103CB: flash for images: ") && message.contains(&size),
        "{message}"
    );
    assert!(
        message.contains(" too many") && message.contains("--max-flash"),
        "{message}"
    );

    let large = convert("models/mnist_forum_kr.keras", &folder, "cortex-m0");
    let message = flash(
        &large,
        "STM32F407VG",
        &["--model-only", "--firmware-size", "16K"],
    );
    assert!(
        message.contains("flash for images") || message.contains("RAM: "),
        "{message}"
    );
    let message = flash(&large, "nRF52832_xxAA", &["--model-only"]);
    assert!(message.contains("nRF52832_xxAA: "), "{message}");

    // Firmware that checks signatures is larger than what is left to it on a small chip. Nothing is built.
    let [key, image] = [
        folder.path().join("key"),
        convert("models/mnist_small.keras", &folder, "cortex-m0"),
    ];
    assert!(tinyspike(&["keygen", "-o", path(&key)]).status.success());
    let sign = tinyspike(&["sign", path(&image), "--key", path(&key)]);
    assert!(sign.status.success(), "{}", text(&sign.stderr));
    let public = folder.path().join("key.pub");
    let message = flash(&image, "STM32G071K8", &["--key", path(&public)]);
    assert!(
        message.contains("firmware that checks signatures takes up to 81920")
            && message.contains("--firmware-size"),
        "{message}"
    );

    let message = flash(&image, "RP2040", &["--model-only"]);
    assert!(message.contains("external flash"), "{message}");
    let message = flash(&image, "STM32H750VB", &["--model-only"]);
    assert!(message.contains("leave no room for an image"), "{message}");
}

#[test]
fn an_image_that_the_device_would_refuse_is_refused_by_name() {
    let folder = TempDir::new().unwrap();
    let image = convert("models/mnist_small.keras", &folder, "cortex-m0");
    let [key, other] = ["device.key", "other.key"].map(|name| folder.path().join(name));
    for key in [&key, &other] {
        let output = tinyspike(&["keygen", "-o", path(key)]);
        assert!(output.status.success(), "{}", text(&output.stderr));
    }
    let public = folder.path().join("device.key.pub");
    let dry = ["--chip", "nRF52840_xxAA", "--model-only", "--dry-run"];
    let flash = |more: &[&str]| tinyspike(&[&["flash", path(&image)], &dry[..], more].concat());
    let refused = |more: &[&str]| {
        let output = flash(more);
        assert_eq!(output.status.code(), Some(1));
        let message = text(&output.stderr);
        assert!(message.contains(path(&image)), "{message}");
        message
    };
    let asked = ["--key", path(&public)];
    let message = refused(&asked);
    assert!(
        message.contains("nRF52840_xxAA would refuse it: the image is not signed")
            && message.contains("hint: `tinyspike sign"),
        "{message}"
    );
    let message = refused(&["--minimum-version", "3"]);
    assert!(
        message.contains("the model has version 0, and the device takes none below 3")
            && message.contains("--model-version"),
        "{message}"
    );
    let one_slot = ["--chip", "STM32F401CC", "--model-only", "--dry-run"];
    let message = refusal(
        &[
            &["flash", path(&image), "--minimum-version", "1"],
            &one_slot[..],
        ]
        .concat(),
    );
    assert!(message.contains("no journal"), "{message}");
    let sign = |key: &Path| tinyspike(&["sign", path(&image), "--key", path(key)]);
    assert!(sign(&other).status.success());
    let message = refused(&asked);
    assert!(message.contains("is signed with the key"), "{message}");
    assert!(sign(&key).status.success());
    let output = flash(&asked);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let plan = text(&output.stdout);
    assert!(
        plan.contains(", slot A") && plan.contains("or         ") && plan.contains(", slot B"),
        "{plan}"
    );
    assert!(plan.contains("RAM to check the signature"), "{plan}");
    let mut bytes = std::fs::read(&image).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&image, bytes).unwrap();
    assert!(refused(&asked).contains("checksum"));
}

#[test]
fn firmware_that_cannot_be_used_is_refused() {
    let folder = TempDir::new().unwrap();
    let image = convert("models/mnist_small.keras", &folder, "cortex-m0");
    let elf = folder.path().join("firmware.elf");
    let flash = |chip: &str| {
        refusal(&[
            "flash",
            path(&image),
            "--chip",
            chip,
            "--firmware",
            path(&elf),
            "--dry-run",
        ])
    };
    let missing = flash("nRF51822_xxAA");
    assert!(
        missing.contains("cannot read") && missing.contains("firmware.elf"),
        "{missing}"
    );
    std::fs::write(&elf, "no program").unwrap();
    let message = flash("nRF51822_xxAA");
    assert!(
        message.contains("firmware.elf: it is no 32-bit ELF program"),
        "{message}"
    );
    let bad = folder.path().join("chip.yaml");
    std::fs::write(&bad, "name: [").unwrap();
    let message = refusal(&[
        "flash",
        path(&image),
        "--chip",
        "X",
        "--chip-description",
        path(&bad),
        "--dry-run",
    ]);
    assert!(
        message.contains("chip.yaml is no chip description"),
        "{message}"
    );
}

#[test]
fn a_chip_that_wants_more_than_a_vector_table_needs_firmware_of_its_own() {
    let folder = TempDir::new().unwrap();
    let image = convert("models/mnist_small.keras", &folder, "cortex-m4");
    // Nobody has this probe: the command ends before it looks for it.
    let args = ["--chip", "R7FA6M3AH", "--probe", "ffff:ffff"];
    let message = refusal(&[&["flash", path(&image)], &args[..]].concat());
    assert!(
        message.contains("no firmware can be built for R7FA6M3AH"),
        "{message}"
    );
    assert!(
        message.contains("configure the chip") && message.contains("--firmware ELF"),
        "{message}"
    );
}

#[test]
fn boards_are_listed_with_their_sources() {
    let table = text(&tinyspike(&["boards"]).stdout);
    for name in [
        "pico",
        "pico-2",
        "microbit-v2",
        "xiao-nrf52840",
        "nucleo-g071rb",
        "ch32v307v-evt",
    ] {
        assert!(
            table.lines().any(|l| l.starts_with(&format!("{name} "))),
            "{table}"
        );
    }
    let all = json(&tinyspike(&["boards", "--json"]));
    assert_eq!(
        number(&all["count"]) as usize,
        all["boards"].as_array().unwrap().len()
    );
    let one = text(&tinyspike(&["boards", "Pico 2"]).stdout);
    assert!(
        one.contains("table 1446, page 1347") && one.contains("150 MHz"),
        "{one}"
    );
    let chip = json(&tinyspike(&["chips", "--board", "pico", "--json"]));
    let chip = &chip["chips"][0];
    assert_eq!(
        (chip["name"].as_str(), number(&chip["flash"])),
        (Some("RP2040"), 2 << 20)
    );
    assert_eq!(chip["refused"], Value::Null);
    let unknown = tinyspike(&["boards", "picco"]);
    assert!(!unknown.status.success());
    let message = text(&unknown.stderr);
    assert!(
        message.contains("no board is called \"picco\"; the nearest are pico"),
        "{message}"
    );
}

/// Plans for each board, without a compiler for it.
#[test]
fn every_board_has_a_plan() {
    let folder = TempDir::new().unwrap();
    let image = convert("models/mnist_small.keras", &folder, "cortex-m0");
    let boards = json(&tinyspike(&["boards", "--json"]));
    for board in boards["boards"].as_array().unwrap() {
        let name = board["name"].as_str().unwrap();
        let flags = ["--board", name, "--model-only", "--dry-run", "--json"];
        let output = tinyspike(&[&["flash", path(&image)], &flags[..]].concat());
        if board["runs"]["library"] != Value::Null {
            let message = text(&output.stderr);
            assert!(
                message.contains("the application does not run on"),
                "{message}"
            );
            assert!(
                message.contains("tinyspike export IMAGE --c DIR --core rv32im"),
                "{message}"
            );
            continue;
        }
        let plan = &json(&output)["plan"];
        assert_eq!(plan["board"], name);
        let layout = &plan["layout"];
        let flash = match &board["runs"]["application"]["place"] {
            Value::Null => None,
            place => place.get("behind-loader").cloned(),
        };
        let (start, last) = (number(&layout["firmware"]["address"]), &layout["slots"]);
        let last = match &last["second"] {
            Value::Null => end(&last["a"]),
            second => end(&second["b"]),
        };
        match flash {
            // The boot loader keeps what is its own.
            Some(region) => assert_eq!(
                (start, last),
                (number(&region["address"]), end(&region)),
                "{name}"
            ),
            None => assert_eq!(last - start, number(&board["flash"]), "{name}"),
        }
        let boots = matches!(name, "pico" | "pico-2");
        assert_eq!(layout["boot"] != Value::Null, boots, "{name}");
        for budget in plan["budgets"].as_array().unwrap() {
            let parts = budget["parts"].as_array().unwrap();
            let needed: u64 = parts.iter().map(|part| number(&part[1])).sum();
            assert!(needed <= number(&budget["limit"]), "{name}: {budget}");
        }
    }
    // Without a board, the size is asked for.
    let rp2040 = ["--chip", "RP2040", "--model-only", "--dry-run"];
    let message = refusal(&[&["flash", path(&image)], &rp2040[..]].concat());
    assert!(
        message.contains("--flash-size 2M") && message.contains("--board NAME"),
        "{message}"
    );
    let sized = [
        &["flash", path(&image)],
        &rp2040[..],
        &["--flash-size", "16M"],
    ]
    .concat();
    assert!(tinyspike(&sized).status.success());
    let message = refusal(
        &[
            &["flash", path(&image)],
            &rp2040[..],
            &["--flash-size", "1024M"],
        ]
        .concat(),
    );
    assert!(
        message.contains("is said to be 0x10000000..0x50000000"),
        "{message}"
    );
}

#[test]
fn an_estimate_says_that_it_is_one() {
    let folder = TempDir::new().unwrap();
    let image = convert("models/mnist_small.keras", &folder, "cortex-m4");
    let data = project("data/mnist_test10k.npz");
    let bench = |board: &str| {
        let args = [
            "bench",
            path(&image),
            "--data",
            path(&data),
            "--limit",
            "20",
            "--board",
            board,
        ];
        (
            text(&tinyspike(&args).stdout),
            tinyspike(&[&args[..], &["--json"]].concat()),
        )
    };
    let (printed, output) = bench("pico-2");
    assert!(
        printed.contains("an estimate, nothing was measured"),
        "{printed}"
    );
    let pico = json(&output);
    assert_eq!(pico["estimate"], true);
    let range = |report: &Value, what: &str| {
        let part = &report[what];
        (
            part["least"].as_f64().unwrap(),
            part["most"].as_f64().unwrap(),
        )
    };
    let (least, most) = range(&pico, "cycles");
    assert!(
        least > 0.5 * pico["instructions"].as_f64().unwrap() && most > least,
        "{pico}"
    );
    // Time is cycles at 150 MHz, energy 11.7 mA at 3.3 V over that time.
    let (fast, slow) = range(&pico, "milliseconds");
    assert!((fast - least / 150e3).abs() < 1e-9 && (slow - most / 150e3).abs() < 1e-9);
    let (least, most) = range(&pico, "microjoules");
    assert!(
        (least - 38.7 * fast).abs() < 1e-6 && (most - 38.7 * slow).abs() < 1e-6,
        "{pico}"
    );
    // No current, no energy.
    let (printed, output) = bench("microbit-v1");
    assert!(printed.contains("no source for its current"), "{printed}");
    assert_eq!(json(&output)["microjoules"], Value::Null);
    let (_, output) = bench("esp32-c3-devkit");
    assert!(text(&output.stderr).contains("no model of the time that ESP32-C3"));
}

#[test]
fn a_probe_that_is_not_there_is_an_error() {
    let folder = TempDir::new().unwrap();
    let image = convert("models/mnist_small.keras", &folder, "cortex-m4");
    let flash = |probe: &str| {
        refusal(&[
            "flash",
            path(&image),
            "--chip",
            "nRF51822_xxAA",
            "--model-only",
            "--probe",
            probe,
        ])
    };
    let message = flash("ffff:ffff");
    assert!(
        message.contains("the probe ffff:ffff cannot be opened"),
        "{message}"
    );
    assert!(message.contains("hint: `tinyspike probes`"), "{message}");
    // These weights are for a Cortex-M4.
    assert!(
        message.contains("warning: the image's weights are laid out for other kernels")
            && message.contains("convert with --target cortex-m0\n"),
        "{message}"
    );
    assert!(flash("stlink").contains("\"stlink\" selects no probe"));
    let output = tinyspike(&["probes", "--json"]);
    let probes = json(&output);
    assert_eq!(
        number(&probes["count"]) as usize,
        probes["probes"].as_array().unwrap().len()
    );
}

#[test]
fn a_probe_that_does_not_answer_ends_the_command() {
    let folder = TempDir::new().unwrap();
    let image = convert("models/mnist_small.keras", &folder, "cortex-m0");
    let chip = ["--chip", "nRF51822_xxAA"];
    dead_probes::end(&[&["flash", path(&image), "--model-only"], &chip[..]].concat());
}

/// Files for boards, opened by another parser, hold what a probe would write, where it would.
#[test]
#[ignore = "builds firmware; `cargo xtask test` runs it"]
fn files_hold_what_is_flashed() {
    let folder = TempDir::new().unwrap();
    let image = convert("models/mnist_small.keras", &folder, "cortex-m0");
    let packed = std::fs::read(&image).unwrap();
    let file = |name: &str| folder.path().join(name);
    for (board, start, boot, family) in [
        ("pico", 0x1000_0000, 256, 0xe48b_ff56_u32),
        ("xiao-nrf52840", 0x2_7000, 0, 0xada5_2840),
        ("pico-2", 0x1000_0000, 2048, 0xe48b_ff59),
    ] {
        let export = |flag: &str, name: &str| {
            let to = file(name);
            let args = ["export", path(&image), "--board", board, flag, path(&to)];
            let output = tinyspike(&args);
            assert!(output.status.success(), "{board}: {}", text(&output.stderr));
            std::fs::read(to).unwrap()
        };
        let (uf2, bin) = (export("--uf2", "a.uf2"), export("--bin", "a.bin"));
        let (bytes, families) = uf2_decode::convert_from_uf2(&uf2).unwrap();
        assert_eq!(
            families.into_iter().collect::<Vec<_>>(),
            [(family, start as u64)],
            "{board}"
        );
        let args = [
            "flash",
            path(&image),
            "--board",
            board,
            "--dry-run",
            "--json",
        ];
        let plan = json(&tinyspike(&args));
        let plan = &plan["plan"];
        // Blocks are whole pages, one after another, and fill the sectors that are erased.
        let word = |at: usize| u32::from_le_bytes(uf2[at..at + 4].try_into().unwrap());
        let pages: Vec<u64> = (0..uf2.len() / 512)
            .map(|n| word(512 * n + 12).into())
            .collect();
        let sectors = plan["erased"].as_array().unwrap().iter();
        let sectors = sectors.chain(plan["places"][0]["erased"].as_array().unwrap());
        let expected: Vec<u64> = sectors
            .flat_map(|s| (number(&s["address"])..end(s)).step_by(256))
            .collect();
        assert_eq!(pages, expected, "{board}");
        // The image lies in slot A, and the program starts behind what the boot ROM reads.
        let at = number(&plan["places"][0]["image"]["address"]) as usize - start;
        for all in [&bytes, &bin] {
            assert_eq!(all[at..at + packed.len()], packed, "{board}");
            let word = |at: usize| u32::from_le_bytes(all[at..at + 4].try_into().unwrap());
            let (stack, reset) = (u64::from(word(boot)), u64::from(word(boot + 4)));
            let ram = &plan["layout"]["ram"];
            assert!(
                stack > number(&ram["address"]) && stack <= end(ram),
                "{board}: {stack:#x}"
            );
            assert_eq!(reset % 2, 1, "{board}: {reset:#x}");
            let firmware = &plan["layout"]["firmware"];
            let linked = number(&firmware["address"]) + boot as u64..end(firmware);
            assert!(linked.contains(&reset), "{board}: {reset:#x}");
        }
        let boots = plan["boot"] != Value::Null;
        assert_eq!(boots, boot > 0, "{board}");
    }
    let refused = refusal(&[
        "export",
        path(&image),
        "--board",
        "microbit-v2",
        "--uf2",
        "x",
    ]);
    assert!(
        refused.contains("it takes a hex file") && refused.contains("--hex FILE"),
        "{refused}"
    );
    let refused = refusal(&["export", path(&image), "--uf2", "x"]);
    assert!(refused.contains("--board NAME"), "{refused}");
    let refused = refusal(&["export", path(&image), "--c", "x", "--board", "pico"]);
    assert!(refused.contains("--uf2, --hex or --bin"), "{refused}");
}
