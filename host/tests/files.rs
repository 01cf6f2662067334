//! Files that the tool reads and writes: nothing is lost that was there, and nothing half-done stays.

#![cfg(unix)]

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _, symlink};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

mod tool;

use tool::{json, path, project, text, tinyspike};

const MODEL: &str = "models/mnist_mlp.keras";
const SAMPLES: &str = "data/mnist_calibration2k.npz";

/// Exit code 1, and a reason with these words.
#[track_caller]
fn refused(output: &Output, words: &[&str]) {
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    for word in words {
        assert!(said.contains(word), "{word:?} in {said}");
    }
}

#[track_caller]
fn succeeded(output: &Output) {
    assert!(output.status.success(), "{}", text(&output.stderr));
}

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A copy of one of the project's files.
    fn copy(&self, name: &str, of: &str) -> PathBuf {
        let at = self.at(name);
        fs::copy(project(of), &at).unwrap();
        at
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.0.path())
            .unwrap()
            .map(|file| file.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

fn convert(model: &Path, output: &Path, more: &[&str]) -> Output {
    let args = [
        "convert",
        path(model),
        "-o",
        path(output),
        "--inference-only",
    ];
    tinyspike(&[&args[..], more].concat())
}

/// The tool in a shell, behind what the script does first. `$0` is the tool.
fn shell(script: &str, args: &[&Path]) -> Output {
    Command::new("sh")
        .args(["-c", script, env!("CARGO_BIN_EXE_tinyspike")])
        .args(args)
        .output()
        .unwrap()
}

#[test]
fn what_is_no_regular_file_is_written_in_place() {
    let folder = Folder::new();
    let model = project(MODEL);
    let image = folder.at("image.tsp");
    succeeded(&convert(&model, &image, &[]));
    let image = fs::read(image).unwrap();

    let pipe = folder.at("pipe");
    assert!(
        Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .unwrap()
            .success()
    );
    let reader = std::thread::spawn({
        let pipe = pipe.clone();
        move || fs::read(pipe).unwrap()
    });
    succeeded(&convert(&model, &pipe, &[]));
    assert!(reader.join().unwrap() == image);
    assert!(fs::metadata(&pipe).unwrap().file_type().is_fifo());

    // Messages leave the stream to the image.
    let output = convert(&model, Path::new("/dev/stdout"), &[]);
    succeeded(&output);
    assert!(output.stdout == image, "{}", text(&output.stdout));
    assert!(text(&output.stderr).contains("/dev/stdout: "));
    let into = folder.at("into.tsp");
    let script = r#""$0" convert "$1" -o /dev/stdout --inference-only > "$2""#;
    succeeded(&shell(script, &[&model, &into]));
    assert!(fs::read(into).unwrap() == image);

    // Only root may make one.
    let null = folder.at("null");
    let made = Command::new("mknod")
        .arg(&null)
        .args(["c", "1", "3"])
        .output();
    if made.unwrap().status.success() && fs::OpenOptions::new().append(true).open(&null).is_ok() {
        succeeded(&convert(&model, &null, &[]));
        assert!(fs::metadata(&null).unwrap().file_type().is_char_device());
    }
}

#[test]
fn links_are_followed_and_stay() {
    let folder = Folder::new();
    let model = project(MODEL);
    fs::create_dir(folder.at("images")).unwrap();
    let (link, target) = (folder.at("link"), folder.at("images/target"));
    symlink("images/target", &link).unwrap();
    for _ in ["the target is missing", "the target is there"] {
        succeeded(&convert(&model, &link, &[]));
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(&fs::read(&target).unwrap()[..4], b"TSPK");
        fs::write(&target, "old").unwrap();
    }
    symlink("loop", folder.at("loop")).unwrap();
    refused(
        &convert(&model, &folder.at("loop"), &[]),
        &["cannot write", "loop"],
    );
}

#[test]
fn permissions_are_the_users_and_those_that_were() {
    let folder = Folder::new();
    let model = project(MODEL);
    let mode = |file: &Path| fs::metadata(file).unwrap().mode() & 0o777;
    let (image, key) = (folder.at("image.tsp"), folder.at("key"));
    let script =
        r#"umask 027 && "$0" convert "$1" -o "$2" --inference-only && "$0" keygen -o "$3""#;
    succeeded(&shell(script, &[&model, &image, &key]));
    assert_eq!(mode(&image), 0o640);
    assert_eq!(mode(&key), 0o600);
    assert_eq!(mode(&folder.at("key.pub")), 0o640);
    fs::set_permissions(&image, fs::Permissions::from_mode(0o604)).unwrap();
    succeeded(&convert(&model, &image, &[]));
    assert_eq!(mode(&image), 0o604);
}

#[test]
fn inputs_are_not_overwritten() {
    let folder = Folder::new();
    let model = folder.copy("model.keras", MODEL);
    let samples = folder.copy("samples.npz", SAMPLES);
    let image = folder.at("image.tsp");
    let key = folder.at("key");
    succeeded(&convert(&model, &image, &[]));
    succeeded(&tinyspike(&["keygen", "-o", path(&key)]));
    let project = folder.at("project");
    fs::create_dir(&project).unwrap();
    let kept = project.join("model.tsp");
    fs::copy(&image, &kept).unwrap();
    let (hard, soft) = (folder.at("hard"), folder.at("soft"));
    fs::hard_link(&model, &hard).unwrap();
    symlink(&samples, &soft).unwrap();
    let public = folder.at("key.pub");
    let files = [&model, &samples, &image, &key, &public, &kept];
    let before = files.map(|file| fs::read(file).unwrap());
    let names = folder.names();

    let calibrated = ["--calibration", path(&samples)];
    let named = format!("flatten_input={}", path(&samples));
    let reported = ["--report", path(&model)];
    let run = |more: &[&str]| {
        tinyspike(&[&["run", path(&image), "--data", path(&samples)], more].concat())
    };
    let simulated = [
        "simulate",
        path(&model),
        "--inference-only",
        "--steps",
        "1",
        "--data",
    ];
    for output in [
        convert(&model, &model, &[]),
        convert(&model, &hard, &[]),
        convert(&model, &samples, &calibrated),
        convert(&model, &soft, &calibrated),
        convert(&model, &samples, &["--calibration", &named]),
        convert(&model, &image, &reported),
        tinyspike(&["sign", path(&image), "--key", path(&key), "-o", path(&key)]),
        tinyspike(&[
            "sign",
            path(&image),
            "--key",
            path(&key),
            "-o",
            path(&public),
        ]),
        run(&[
            "--firmware",
            path(&model),
            "--on",
            "emulated:mps2-an386",
            "-o",
            path(&model),
        ]),
        run(&[
            "--chip-description",
            path(&model),
            "--chip",
            "none",
            "-o",
            path(&hard),
        ]),
        tinyspike(&[&simulated[..], &[path(&samples), "-o", path(&samples)]].concat()),
        tinyspike(&["export", path(&kept), "--rust", path(&project)]),
        tinyspike(&[
            "export",
            path(&image),
            "--arduino",
            path(&samples),
            "--data",
            path(&samples),
        ]),
    ] {
        refused(&output, &["would be overwritten", "another name"]);
    }
    let both = folder.at("both");
    let twice = convert(&model, &both, &["--report", path(&both)]);
    refused(&twice, &["the image and the report would both be"]);
    assert!(files.map(|file| fs::read(file).unwrap()) == before);
    assert_eq!(folder.names(), names);

    // Only what is signed is what is written.
    succeeded(&tinyspike(&["sign", path(&image), "--key", path(&key)]));
    succeeded(&tinyspike(&[
        "verify-image",
        path(&image),
        "--key",
        path(&public),
    ]));
}

/// A SavedModel is a folder, and every file in it is read.
#[test]
fn a_folder_that_is_read_keeps_its_files() {
    let folder = Folder::new();
    let inside = folder.at("saved/variables");
    fs::create_dir_all(&inside).unwrap();
    let file = inside.join("variables.index");
    fs::write(&file, "precious").unwrap();
    let output = convert(&folder.at("saved"), &file, &[]);
    refused(&output, &["would be overwritten"]);
    assert_eq!(fs::read(file).unwrap(), b"precious");
}

#[test]
fn labels_beside_samples_are_not_overwritten() {
    let folder = Folder::new();
    let images = folder.at("t10k-images-idx3-ubyte");
    let labels = folder.at("t10k-labels-idx1-ubyte");
    for file in [&images, &labels] {
        fs::write(file, "precious").unwrap();
    }
    let output = convert(&project(MODEL), &labels, &["--calibration", path(&images)]);
    refused(&output, &["would be overwritten"]);
    assert_eq!(fs::read(labels).unwrap(), b"precious");
}

#[test]
fn a_key_is_never_overwritten_nor_half_a_pair_left() {
    let folder = Folder::new();
    let (key, public) = (folder.at("key"), folder.at("key.pub"));
    fs::write(&public, "precious").unwrap();
    let keygen = ["keygen", "-o", path(&key)];
    refused(&tinyspike(&keygen), &["key.pub", "never overwritten"]);
    assert_eq!(folder.names(), ["key.pub"]);
    assert_eq!(fs::read(&public).unwrap(), b"precious");
    fs::remove_file(&public).unwrap();
    symlink("nowhere", &key).unwrap();
    refused(&tinyspike(&keygen), &["never overwritten"]);
    fs::remove_file(&key).unwrap();
    succeeded(&tinyspike(&keygen));

    // The public half stays, by whatever link the private one is named.
    let (image, link) = (folder.at("image.tsp"), folder.at("link"));
    succeeded(&convert(&project(MODEL), &image, &[]));
    symlink(&key, &link).unwrap();
    let kept = fs::read(&public).unwrap();
    for named in [&key, &link] {
        let sign = [
            "sign",
            path(&image),
            "--key",
            path(named),
            "-o",
            path(&public),
        ];
        refused(&tinyspike(&sign), &["would be overwritten"]);
    }
    assert_eq!(fs::read(&public).unwrap(), kept);

    // As OpenSSL reads it: PKCS#8, version 0, without the public half.
    let pem = fs::read_to_string(&key).unwrap();
    let base64 = pem.lines().nth(1).unwrap();
    assert!(
        base64.starts_with("MC4CAQAwBQYDK2VwBCIEI"),
        "{}",
        base64.len()
    );
    let openssl = Command::new("openssl")
        .args(["pkey", "-pubout", "-in", path(&key)])
        .output();
    if let Ok(openssl) = openssl {
        assert_eq!(text(&openssl.stdout), fs::read_to_string(&public).unwrap());
    }
}

#[test]
fn a_key_that_others_may_read_comes_with_a_warning() {
    let folder = Folder::new();
    let (image, key) = (folder.at("image.tsp"), folder.at("key"));
    succeeded(&convert(&project(MODEL), &image, &[]));
    succeeded(&tinyspike(&["keygen", "-o", path(&key)]));
    let sign = ["sign", path(&image), "--key", path(&key)];
    let said = |output: Output| text(&output.stderr);
    assert_eq!(said(tinyspike(&sign)), "");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o640)).unwrap();
    let warned = said(tinyspike(&sign));
    assert!(
        warned.contains("warning: others") && warned.contains("chmod 600"),
        "{warned}"
    );
}

#[test]
fn an_output_that_cannot_be_written_is_noticed_before_the_work() {
    let folder = Folder::new();
    // There is no model that could be read.
    let model = folder.at("nothing.keras");
    for output in [folder.at("missing/image.tsp"), folder.0.path().to_owned()] {
        refused(
            &convert(&model, &output, &[]),
            &["cannot write", path(&output)],
        );
        let image = folder.at("image.tsp");
        let report = convert(&model, &image, &["--report", path(&output)]);
        refused(&report, &["cannot write", path(&output)]);
        assert!(!text(&report.stderr).contains(".tinyspike"), "{report:?}");
    }
    // A folder that is not there, and is not made.
    let named = format!("{}/", folder.at("new").display());
    let output = convert(&project(MODEL), Path::new(&named), &[]);
    refused(&output, &["cannot write", "it is a folder"]);
    assert_eq!(folder.names(), [""; 0]);
}

/// Tells whether this process has been started with a signal ignored, as a shell's jobs in the background are. Only Linux
/// tells.
fn ignored(signal: i32) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}

#[test]
fn a_signal_leaves_no_temporary_file() {
    let folder = Folder::new();
    let (model, samples) = (project(MODEL), project(SAMPLES));
    let image = folder.at("image.tsp");
    let calibrated = ["--tune", "--calibration", path(&samples)];
    for (name, signal) in [
        ("TERM", 15),
        ("INT", 2),
        ("HUP", 1),
        ("QUIT", 3),
        ("USR1", 10),
    ] {
        if ignored(signal) {
            // The tool ignores it, too.
            continue;
        }
        let mut process = Command::new(env!("CARGO_BIN_EXE_tinyspike"))
            .args([
                "convert",
                path(&model),
                "-o",
                path(&image),
                "--inference-only",
            ])
            .args(calibrated)
            .current_dir(folder.0.path())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let start = Instant::now();
        while folder.names().is_empty() {
            assert!(start.elapsed() < Duration::from_secs(60));
            std::thread::sleep(Duration::from_millis(5));
        }
        let kill = Command::new("kill")
            .args([&format!("-{name}"), &process.id().to_string()])
            .status();
        assert!(kill.unwrap().success());
        assert_eq!(process.wait().unwrap().signal(), Some(signal));
        let left = folder.names().into_iter();
        // The system may leave a core.
        let left: Vec<String> = left.filter(|name| !name.starts_with("core")).collect();
        assert_eq!(left, [""; 0], "{name}");
    }
}

/// A file that may not get so large is an error of writing, and leaves nothing.
#[test]
fn a_file_that_gets_too_large_is_an_error() {
    let folder = Folder::new();
    let image = folder.at("image.tsp");
    let script = r#"ulimit -f 1 && exec "$0" convert "$1" -o "$2" --inference-only"#;
    let output = shell(script, &[&project(MODEL), &image]);
    refused(&output, &["cannot write", path(&image), "too large"]);
    assert_eq!(folder.names(), [""; 0]);
}

/// Nobody may read what the tool says, and it does its work.
#[test]
fn messages_that_nobody_reads_stop_nothing() {
    let folder = Folder::new();
    for (name, into) in [("full", "2> /dev/full"), ("closed", "2>&-")] {
        let image = folder.at(name);
        let script = format!(r#""$0" convert "$1" -o "$2" --inference-only {into}"#);
        succeeded(&shell(&script, &[&project(MODEL), &image]));
        assert!(fs::metadata(&image).unwrap().len() > 1000, "{name}");
        let script = format!(r#""$0" inspect "$1" {into}"#);
        let output = shell(&script, &[&folder.at("nothing.keras")]);
        assert_eq!(output.status.code(), Some(1), "{name}");
    }
}

/// Neither paths nor wrong arguments forge a line or move the terminal.
#[test]
fn paths_and_arguments_do_not_move_the_terminal() {
    let folder = Folder::new();
    let image = folder.at("x\nerror: forged\u{1b}[2J");
    let output = convert(&project(MODEL), &image, &[]);
    succeeded(&output);
    let key = folder.at("k\nerror: forged");
    let pair = tinyspike(&["keygen", "-o", path(&key)]);
    succeeded(&pair);
    let signed = tinyspike(&["sign", path(&image), "--key", path(&key)]);
    succeeded(&signed);
    let wrong = tinyspike(&["boards", "x\r\u{202e}\u{1b}[2J", "--no-such-flag"]);
    assert_eq!(wrong.status.code(), Some(2));
    for output in [output, pair, signed, wrong] {
        let said = text(&output.stdout) + &text(&output.stderr);
        assert!(!said.contains("\nerror: forged"), "{said}");
        let moves = |c: char| c.is_control() && c != '\n' || c == '\u{202e}';
        assert!(!said.contains(moves), "{said:?}");
    }
}

/// `bytes` through a pipe, as the file /dev/stdin.
fn piped(bytes: &[u8], args: &[&str]) -> Output {
    let mut process = Command::new(env!("CARGO_BIN_EXE_tinyspike"))
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = process.stdin.take().unwrap();
    let bytes = bytes.to_vec();
    let writer = std::thread::spawn(move || {
        // Who has seen enough reads no more.
        let _ = stdin.write_all(&bytes);
    });
    let output = process.wait_with_output().unwrap();
    writer.join().unwrap();
    output
}

#[test]
fn pipes_are_read() {
    let folder = Folder::new();
    let image = folder.at("image.tsp");
    let model = fs::read(project(MODEL)).unwrap();
    let convert = [
        "convert",
        "/dev/stdin",
        "-o",
        path(&image),
        "--inference-only",
    ];
    succeeded(&piped(&model, &convert));
    succeeded(&piped(
        &model,
        &["inspect", "/dev/stdin", "--inference-only"],
    ));
    for file in [
        "onnx/keras/mnist_small.onnx",
        "nir/snntorch_watch_rleaky.nir",
    ] {
        let network = fs::read(project("tests/fixtures").join(file)).unwrap();
        succeeded(&piped(&network, &["inspect", "/dev/stdin"]));
    }
    let bytes = fs::read(&image).unwrap();
    succeeded(&piped(&bytes, &["verify-image", "/dev/stdin"]));
    let key = folder.at("key");
    succeeded(&tinyspike(&["keygen", "-o", path(&key)]));
    let private = fs::read(&key).unwrap();
    succeeded(&piped(
        &private,
        &["sign", path(&image), "--key", "/dev/stdin"],
    ));
    // Samples are gone through several times.
    let samples = fs::read(project(SAMPLES)).unwrap();
    let calibrated = ["--calibration", "/dev/stdin"];
    let output = piped(
        &samples,
        &[
            &["convert", path(&project(MODEL))],
            &convert[2..],
            &calibrated,
        ]
        .concat(),
    );
    refused(&output, &["/dev/stdin", "not a regular file"]);
}

/// The tool has a fraction of a second's work for each, and no memory for what never ends.
#[test]
fn files_without_an_end_are_refused() {
    let folder = Folder::new();
    let image = folder.at("image.tsp");
    let model = project(MODEL);
    succeeded(&convert(&model, &image, &[]));
    let (model, image, zero) = (path(&model), path(&image), "/dev/zero");
    let output = folder.at("out");
    let convert = ["convert", model, "-o", path(&output), "--inference-only"];
    for args in [
        &["convert", zero, "-o", path(&output)][..],
        &[&convert[..], &["--config", zero]].concat(),
        &[&convert[..], &["--calibration", zero]].concat(),
        &["inspect", zero],
        &["verify-image", zero],
        &["verify-image", image, "--key", zero],
        &["sign", image, "--key", zero],
        &["emulate", zero, "--data", zero],
        &["emulate", image, "--data", zero],
        &["chips", "nrf", "--chip-description", zero],
        &[
            "flash",
            image,
            "--dry-run",
            "--chip",
            "nRF52840_xxAA",
            "--firmware",
            zero,
        ],
    ] {
        let limited = r#"ulimit -v 1048576 && ulimit -t 10 && exec "$0" "$@""#;
        let args: Vec<&Path> = args.iter().map(Path::new).collect();
        refused(&shell(limited, &args), &["error: "]);
    }
}

/// The same file with each occurrence of a name replaced by another one of its length.
fn patched(folder: &Folder, file: &str, from: &str, to: &str) -> PathBuf {
    assert_eq!(from.len(), to.len());
    let mut bytes = fs::read(project(file)).unwrap();
    let mut count = 0;
    for at in 0..bytes.len() - from.len() {
        if bytes[at..].starts_with(from.as_bytes()) {
            bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
            count += 1;
        }
    }
    assert!(count > 0, "no {from} in {file}");
    let path = folder.at(&format!("patched.{}", file.rsplit('.').next().unwrap()));
    fs::write(&path, bytes).unwrap();
    path
}

/// Names, types and operators of NIR graphs and ONNX files are shown escaped, whether they are accepted or refused.
#[test]
fn names_from_nir_and_onnx_do_not_move_the_terminal() {
    const NIR: &str = "tests/fixtures/nir/snntorch_watch_rleaky.nir";
    const RECORDED: &str = "tests/fixtures/nir/snntorch_watch_rleaky.npz";
    const ONNX: &str = "tests/fixtures/onnx/keras/mnist_small_torch.onnx";
    let folder = Folder::new();
    let (image, outputs) = (folder.at("image.tsp"), folder.at("out.npz"));
    let (image, outputs) = (path(&image), path(&outputs));
    let mut shown = 0;
    for (file, from, to) in [
        (NIR, "1.lif", "1\u{1b}[2J"),
        (NIR, "Affine", "\u{1b}[31mA"),
        (NIR, "LIF", "\u{1b}[J"),
        (NIR, "v_leak", "\u{1b}]0;\u{7}v"),
        (ONNX, "relu_1", "\u{1b}[2J\r\n"),
        (ONNX, "Relu", "\u{1b}[2J"),
        (ONNX, "conv2d", "\u{1b}]0;t\u{7}"),
    ] {
        let model = patched(&folder, file, from, to);
        let model = path(&model);
        let (data, recorded) = match file {
            ONNX => (project(SAMPLES), project(SAMPLES)),
            _ => (
                project("tests/fixtures/nir/vowels_test.npz"),
                project(RECORDED),
            ),
        };
        let (data, recorded) = (path(&data), path(&recorded));
        for args in [
            &["inspect", model][..],
            &["inspect", model, "--json"],
            &["convert", model, "-o", image, "--inference-only", "-v"],
            &["inspect", image],
            &[
                "simulate", model, "--data", data, "--limit", "2", "--steps", "2", "-o", outputs,
            ],
            &["verify", model, "--data", data],
            &["verify", model, "--match", recorded],
        ] {
            let output = tinyspike(args);
            assert!(matches!(output.status.code(), Some(0..=2)), "{output:?}");
            for said in [&output.stdout, &output.stderr] {
                let said = std::str::from_utf8(said).unwrap();
                let moves = |c: char| c.is_control() && c != '\n';
                assert!(!said.contains(moves), "{args:?}: {said:?}");
                shown += usize::from(said.contains("\\u001b"));
            }
        }
    }
    // The names are there.
    assert!(shown > 10, "{shown}");
}

/// A model whose layers are called something else.
fn renamed(folder: &Folder, from: &str, to: &str) -> PathBuf {
    let file = fs::File::open(project("models/mnist_small.keras")).unwrap();
    let mut old = zip::ZipArchive::new(file).unwrap();
    let path = folder.at("renamed.keras");
    let mut new = zip::ZipWriter::new(fs::File::create(&path).unwrap());
    for index in 0..old.len() {
        let mut part = old.by_index(index).unwrap();
        let name = part.name().unwrap().to_string();
        let mut content = Vec::new();
        part.read_to_end(&mut content).unwrap();
        if name == "config.json" {
            let config = String::from_utf8(content).unwrap();
            let (from, to) = (format!("{from:?}"), serde_json::to_string(to).unwrap());
            assert!(config.contains(&from));
            content = config.replace(&from, &to).into_bytes();
        }
        new.start_file(name, zip::write::SimpleFileOptions::default())
            .unwrap();
        new.write_all(&content).unwrap();
    }
    new.finish().unwrap();
    path
}

#[test]
fn names_from_files_do_not_move_the_terminal() {
    let folder = Folder::new();
    let name = "x\u{1b}[2J\u{1b}]0;t\u{7}\r\nerror: forged\u{9b}31m\u{202e}\u{2066}";
    let (image, outputs) = (folder.at("image.tsp"), folder.at("out.npz"));
    let samples = project(SAMPLES);
    let (image, samples) = (path(&image), path(&samples));
    for layer in ["input_1", "conv2d", "dense", "dense_1"] {
        let model = renamed(&folder, layer, name);
        let model = path(&model);
        let steps = ["--inference-only", "--data", samples, "--limit", "3"];
        for args in [
            &["inspect", model, "--inference-only"][..],
            &["inspect", model, "--inference-only", "--json"],
            &["inspect", model],
            &["convert", model, "-o", image, "--inference-only", "-v"],
            &["convert", model, "-o", image, "--inference-only", "--json"],
            &[
                "convert",
                model,
                "-o",
                image,
                "--inference-only",
                "--max-ram",
                "1",
            ],
            &["inspect", image],
            &["inspect", image, "--json"],
            &["emulate", image, "--data", samples, "--limit", "3"],
            &[
                &["simulate", model, "--steps", "2", "-o", path(&outputs)],
                &steps[..],
            ]
            .concat(),
            &[&["verify", model], &steps[..]].concat(),
            &["verify", model, "--data", &format!("nothing={samples}")],
        ] {
            let output = tinyspike(args);
            assert!(matches!(output.status.code(), Some(0 | 1)), "{output:?}");
            for said in [&output.stdout, &output.stderr] {
                let said = std::str::from_utf8(said).unwrap();
                let moves =
                    |c: char| (c.is_control() && c != '\n') || "\u{202e}\u{2066}".contains(c);
                assert!(!said.contains(moves), "{args:?}: {said:?}");
                assert!(!said.contains("\nerror: forged"), "{args:?}: {said}");
            }
            if args.contains(&"--json") && output.status.success() {
                json(&output);
            }
        }
    }
}
