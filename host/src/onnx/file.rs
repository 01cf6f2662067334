//! Files: bounded reading, and what tells an ONNX file from others.

use std::path::Path;

use prost::Message as _;

use super::error::{OnnxError, Problem};
use super::proto;
use super::walk::{Import, walk};
use crate::file;

/// The largest file that is read. A decoded one takes some four times as much memory.
const MAX_FILE_BYTES: u64 = 512 << 20;

/// The versions of ONNX's operators that are read.
const OPSETS: std::ops::RangeInclusive<i64> = 11..=22;

/// Tells whether a file is taken for ONNX: its name ends so, or it begins as the files of all exporters do, with
/// the version of the format.
#[must_use]
pub fn is_onnx(path: &Path) -> bool {
    if !path.is_file() {
        return false;
    }
    let named = (path.extension()).is_some_and(|ending| ending.eq_ignore_ascii_case("onnx"));
    named || file::read_if(path, MAX_FILE_BYTES, |_| false).is_ok_and(|start| begins_onnx(&start))
}

/// Tells whether a file that begins so is taken for ONNX.
pub(crate) const fn begins_onnx(start: &[u8]) -> bool {
    matches!(start, [8, 3..=20, 0x12 | 0x3a | 0x42, ..])
}

/// Reads a model. `shapes` gives the inputs' shapes without the batch axis, for axes of unknown length.
///
/// # Errors
/// [`OnnxError`], if the file cannot be read or is no ONNX; if a node has no layer, which it names.
pub fn load(path: &Path, shapes: Option<&[Vec<usize>]>) -> Result<Import, OnnxError> {
    let name = path.display().to_string();
    let bytes = file::read(path, MAX_FILE_BYTES);
    (bytes.map_err(Problem::Io))
        .and_then(|bytes| from_bytes(&bytes, shapes))
        .map_err(|problem| problem.in_file(&name))
}

/// Reads a model from a file's content; `name` stands for the file in messages.
///
/// # Errors
/// As [`load`].
pub fn load_bytes(
    name: &str,
    bytes: &[u8],
    shapes: Option<&[Vec<usize>]>,
) -> Result<Import, OnnxError> {
    from_bytes(bytes, shapes).map_err(|problem| problem.in_file(name))
}

fn from_bytes(bytes: &[u8], shapes: Option<&[Vec<usize>]>) -> Result<Import, Problem> {
    let format = |reason: String| Problem::Format { reason };
    let model = proto::Model::decode(bytes).map_err(|e| format(e.to_string()))?;
    let Some(graph) = &model.graph else {
        return Err(format("it has no graph".to_owned()));
    };
    let mut opset = None;
    for bytes in model.opsets.iter().take(64) {
        let own = proto::Opset::decode(&bytes[..]).map_err(|e| format(format!("an opset: {e}")))?;
        if ["", "ai.onnx"].contains(&own.domain.as_str()) {
            opset = Some(own.version);
        }
    }
    match opset {
        Some(version) if OPSETS.contains(&version) => {
            if !graph.sparse_initializers.is_empty() {
                return Err(format("it has sparse tensors".to_owned()));
            }
            walk(graph, version, shapes)
        }
        found => Err(Problem::Opset {
            found: found.map_or("no stated opset".to_owned(), |v| format!("opset {v}")),
            least: *OPSETS.start(),
            most: *OPSETS.end(),
        }),
    }
}
