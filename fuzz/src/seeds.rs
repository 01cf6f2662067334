//! Real inputs, made of the repository's files when they are needed.

use std::fs;
use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use proptest::prop_oneof;
use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::TestRunner;
use tinyspike::assemble::assemble;
use tinyspike::convert::{ConvertOptions, convert};
use tinyspike::data::{NamedArray, NamedValues, arrays, write_npz};
use tinyspike::deploy::{DeployOptions, Mode};
use tinyspike::import;
use tinyspike::quantize::QuantizeOptions;

use tinyspike_board::firmware::Board;
use tinyspike_shared::inputs;
use tinyspike_tests::network::{
    self, current_based_networks, endless_networks, exact_networks, mixed_networks, networks,
    pooled_networks,
};
use zip::ZipArchive;

use crate::{generate, parts, root};

/// Reason for missing real inputs.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SeedError {
    /// A file cannot be read.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Error of the system.
        source: std::io::Error,
    },
    /// A file is not what it should be.
    #[error("{}: {reason}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// Fault that was found.
        reason: String,
    },
}

fn read(path: &Path) -> Result<Vec<u8>, SeedError> {
    fs::read(path).map_err(|source| SeedError::File {
        path: path.to_owned(),
        source,
    })
}

fn content<E: ToString>(path: &Path) -> impl Fn(E) -> SeedError {
    let path = path.to_owned();
    move |e| SeedError::Content {
        path: path.clone(),
        reason: e.to_string(),
    }
}

fn unpack(path: &Path) -> Result<Vec<u8>, SeedError> {
    let mut bytes = Vec::new();
    let packed = read(path)?;
    let read = GzDecoder::new(&packed[..]).read_to_end(&mut bytes);
    read.map_err(content(path))?;
    Ok(bytes)
}

/// The files of a packed folder: name and content.
fn untar(path: &Path) -> Result<Vec<(String, Vec<u8>)>, SeedError> {
    let bytes = unpack(path)?;
    let mut archive = tar::Archive::new(&bytes[..]);
    let mut files = Vec::new();
    for entry in archive.entries().map_err(content(path))? {
        let mut entry = entry.map_err(content(path))?;
        let name = entry.path().map_err(content(path))?;
        let name = name.to_string_lossy().into_owned();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).map_err(content(path))?;
        if !bytes.is_empty() {
            files.push((name, bytes));
        }
    }
    files.sort();
    Ok(files)
}

fn fixture(name: &str) -> PathBuf {
    root().join("tests/fixtures").join(name)
}

fn bundled(name: &str) -> PathBuf {
    root().join("models").join(name)
}

/// Keras's small models in every container.
fn keras() -> Result<Vec<(String, Vec<u8>)>, SeedError> {
    let mut files = untar(&fixture("keras/keras2.tar.gz"))?;
    files.extend(untar(&fixture("keras/keras3.tar.gz"))?);
    files.extend(untar(&fixture("keras/hostile.tar.gz"))?);
    // Bombs of zeros teach nothing and take long.
    files.retain(|(name, _)| !name.contains("bomb"));
    Ok(files)
}

/// Images of random networks and of two of the bundled models.
pub(crate) fn images() -> Result<Vec<Vec<u8>>, SeedError> {
    let mut runner = TestRunner::deterministic();
    let mut images = Vec::new();
    let all = prop_oneof![
        3 => networks(),
        1 => exact_networks(),
        1 => mixed_networks(),
        1 => endless_networks(),
        1 => current_based_networks(),
        1 => pooled_networks(),
    ];
    while images.len() < 64 {
        let tree = all.new_tree(&mut runner);
        if let Ok(Ok(image)) = tree.map(|tree| assemble(&tree.current()))
            && image.bytes().len() < 16 << 10
        {
            images.push(image.bytes().to_vec());
        }
    }
    images.extend((0..32).map(generate::image));
    for name in ["mnist_small.keras", "mnist_pool_bn.keras"] {
        let path = bundled(name);
        let model = import::load(&path).map_err(content(&path))?;
        let options = ConvertOptions {
            inference_only: true,
            max_to_avg_pool: true,
            ..ConvertOptions::default()
        };
        let network = convert(&model, &options).map_err(content(&path))?.network;
        let mode = Mode::Plain(QuantizeOptions::default());
        let deployment = network.deploy(&DeployOptions::new(&mode));
        let image = deployment.map_err(content(&path))?.image;
        images.push(image.bytes().to_vec());
    }
    Ok(images)
}

/// Blocks of inputs for random networks.
pub(crate) fn blocks() -> Result<Vec<Vec<u8>>, SeedError> {
    let mut runner = TestRunner::deterministic();
    let mut blocks = Vec::new();
    for seed in 0..16 {
        if let Ok(tree) = networks().new_tree(&mut runner) {
            let input = network::inputs(&tree.current(), seed).concat();
            let header = inputs::Header {
                count: 2,
                size: input.len() as u32,
            };
            blocks.push([&header.to_bytes()[..], &input, &input].concat());
        }
    }
    Ok(blocks)
}

/// Model files of every kind.
pub(crate) fn models() -> Result<Vec<Vec<u8>>, SeedError> {
    let mut models: Vec<Vec<u8>> = keras()?
        .into_iter()
        .filter(|(name, bytes)| {
            // Files of weights alone are no models.
            let whole = name.ends_with(".h5") && !name.contains("weights");
            (whole || name.ends_with(".keras")) && bytes.len() < 200 << 10
        })
        .map(|(_, bytes)| bytes)
        .collect();
    models.push(read(&bundled("mnist_pool_bn.keras"))?);
    models.push(unpack(&fixture("keras/conv1d_series.h5.gz"))?);
    models.push(unpack(&fixture("keras/mnist_unsupported.keras3.h5.gz"))?);
    Ok(models)
}

/// NIR graphs.
pub(crate) fn graphs() -> Result<Vec<Vec<u8>>, SeedError> {
    let names = [
        "subgraph",
        "delays",
        "conv2d",
        "conv1d",
        "feedback",
        "norse_watch_ff",
    ];
    let graphs = names.map(|name| read(&fixture(&format!("nir/{name}.nir"))));
    graphs.into_iter().collect()
}

/// ONNX files: each operator, and whole networks.
pub(crate) fn onnx() -> Result<Vec<Vec<u8>>, SeedError> {
    let mut models = Vec::new();
    for name in ["ops", "networks"] {
        let path = fixture(&format!("onnx/{name}.npz"));
        for array in arrays(&path).map_err(content(&path))? {
            if array.name.ends_with(".model") && array.values.len() < 32 << 10 {
                models.push(array.values.iter().map(|&byte| byte as u8).collect());
            }
        }
    }
    Ok(models)
}

/// Contents of `.keras` archives: configuration and weights.
pub(crate) fn archives() -> Result<Vec<Vec<u8>>, SeedError> {
    let mut archives = Vec::new();
    let bundled = bundled("mnist_pool_bn.keras");
    let files = keras()?
        .into_iter()
        .map(|(name, b)| (PathBuf::from(name), b));
    for (name, bytes) in files.chain([(bundled.clone(), read(&bundled)?)]) {
        if name.extension().is_none_or(|e| e != "keras") {
            continue;
        }
        let mut zip = ZipArchive::new(Cursor::new(bytes)).map_err(content(&name))?;
        let mut member = |member: &str| -> Result<Vec<u8>, SeedError> {
            let mut bytes = Vec::new();
            let mut file = zip.by_name(member).map_err(content(&name))?;
            file.read_to_end(&mut bytes).map_err(content(&name))?;
            Ok(bytes)
        };
        let (config, weights) = (member("config.json")?, member("model.weights.h5")?);
        if weights.len() < 200 << 10 {
            archives.push(parts::join(&[&config, &weights]));
        }
    }
    Ok(archives)
}

/// Contents of SavedModels: configuration, the checkpoint's table and its values.
pub(crate) fn savedmodels() -> Result<Vec<Vec<u8>>, SeedError> {
    let files = untar(&fixture("keras/keras2.tar.gz"))?;
    let part = |folder: &str, name: &str| {
        let path = format!("{folder}/{name}");
        let found = files
            .iter()
            .find(|(n, _)| n.trim_start_matches("./") == path);
        found.map(|(_, bytes)| bytes.as_slice())
    };
    let folders = files.iter().filter_map(|(name, _)| {
        let name = name.trim_start_matches("./");
        name.strip_suffix("/keras_metadata.pb")
    });
    let models = folders.filter_map(|folder| {
        Some(parts::join(&[
            part(folder, "keras_metadata.pb")?,
            part(folder, "variables/variables.index")?,
            part(folder, "variables/variables.data-00000-of-00001")?,
        ]))
    });
    Ok(models.collect())
}

/// Data sets: archives of arrays, lone arrays, IDX files, plain and packed.
pub(crate) fn data() -> Result<Vec<Vec<u8>>, SeedError> {
    let mut sets = Vec::new();
    for name in ["data/series_test.npz", "forward/conv1d_series_ref16.npz"] {
        let path = fixture(name);
        let bytes = read(&path)?;
        let mut zip = ZipArchive::new(Cursor::new(&bytes)).map_err(content(&path))?;
        for at in 0..zip.len() {
            let mut array = Vec::new();
            let file = zip.by_index(at).map_err(content(&path))?;
            file.take(4096)
                .read_to_end(&mut array)
                .map_err(content(&path))?;
            sets.push(array);
        }
        sets.push(bytes);
    }
    let whole = |name: &str, values: &[i32]| NamedArray {
        name: name.into(),
        shape: vec![values.len()],
        values: NamedValues::I32(values.to_vec()),
    };
    let recordings = [
        whole("offsets", &[0, 5, 7]),
        whole("t_us", &[500, 900, 1499, 3000, 3700, 0, 2000]),
        whole("x", &[2, 2, 2, 0, 1, 1, 1]),
        whole("y", &[1, 1, 1, 0, 0, 0, 0]),
        whole("p", &[0, 0, 0, 1, 1, 0, 0]),
        whole("label", &[4, 3]),
    ];
    let mut events = Cursor::new(Vec::new());
    write_npz(&mut events, &recordings).map_err(content(Path::new("events")))?;
    sets.push(events.into_inner());
    // A small array that is whole.
    let mut npy = b"\x93NUMPY\x01\x00".to_vec();
    let header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }\n";
    npy.extend((header.len() as u16).to_le_bytes());
    npy.extend(header);
    npy.extend((0..6).flat_map(|i| (i as f32).to_le_bytes()));
    sets.push(npy);
    // IDX: zero, zero, bytes (8) in three axes, each length as a big-endian u32.
    let mut idx = vec![0, 0, 8, 3];
    for length in [4u32, 2, 3] {
        idx.extend(length.to_be_bytes());
    }
    idx.extend(0..24);
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut packed, &idx).map_err(content(Path::new("IDX")))?;
    sets.push(packed.finish().map_err(content(Path::new("IDX")))?);
    sets.push(idx);
    Ok(sets)
}

/// Descriptions of chips, some with names that are more than a name to a linker or a terminal.
pub(crate) fn chips() -> Result<Vec<Vec<u8>>, SeedError> {
    let described = Board::ALL.into_iter().filter_map(|board| {
        let text = board.chip_description()?;
        Some((text, format!("- name: {}\n", board.chip())))
    });
    let names = ["EVIL */ INPUT(x.o) /* ", "x\n}\nINCLUDE y", "\u{1b}[2J", ""];
    let all = described.flat_map(|(text, name)| {
        let other = move |new| text.replace(&name, &format!("- name: {new:?}\n"));
        [text.to_owned()].into_iter().chain(names.map(other))
    });
    Ok(all.map(String::into_bytes).collect())
}
