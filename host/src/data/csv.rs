//! Tables of text: a sample in each line, its values and perhaps its target separated by commas, semicolons or tabs.

use std::io::Read as _;

use super::array::{Array, Values, damaged};
use super::error::DataError;

/// Names of the column that holds targets.
const TARGETS: [&str; 6] = ["y", "label", "labels", "class", "target", "targets"];

/// Tells whether a file may be a table: text, of which the first line has a number or a separator.
pub(super) fn is_table(start: &[u8]) -> bool {
    let printable = |b: &u8| *b >= b' ' || [b'\t', b'\r', b'\n'].contains(b);
    let line = start.split(|b| *b == b'\n').next().unwrap_or_default();
    let separated = line.iter().any(|b| b",;\t".contains(b));
    start.iter().all(printable) && (separated || number(&String::from_utf8_lossy(line)).is_some())
}

fn number(cell: &str) -> Option<f32> {
    let cell = cell.trim().trim_start_matches('\u{feff}');
    // Cells that commas do not separate may have them in numbers.
    let value: f64 = (cell.parse().ok()).or_else(|| decimal_comma(cell)?.parse().ok())?;
    Some(value as f32)
}

/// A number with a comma before its decimals, as one with a point.
fn decimal_comma(cell: &str) -> Option<String> {
    let (whole, decimals) = cell.split_once(',')?;
    let digits = decimals.starts_with(|c: char| c.is_ascii_digit());
    (digits && !whole.contains('.') && !decimals.contains(['.', ',']))
        .then(|| format!("{whole}.{decimals}"))
}

/// Reason why a cell is no value, and the remedy.
fn fault(cell: &str, is_target: bool) -> String {
    let shown: String = cell.chars().take(40).collect();
    match number(cell) {
        _ if cell.is_empty() => "it is empty; write a number, or leave the line out".to_owned(),
        None if is_target => {
            format!("{shown:?} is no number; write classes as whole numbers from 0 on")
        }
        None => format!("{shown:?} is no number; write it as 0.5 or 5e-1, without a unit"),
        Some(_) => format!(
            "{shown:?} is no finite number as float32; write another, or leave the line out"
        ),
    }
}

/// The samples of a table, and the targets if a column is called so.
pub(super) fn parse(file: &str, bytes: &[u8]) -> Result<(Array, Option<Array>), DataError> {
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let line = text.split(|b| *b == b'\n').next().unwrap_or_default();
    // Commas may stand in numbers between the others.
    let delimiter = [b';', b'\t', b','].into_iter().find(|d| line.contains(d));
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .delimiter(delimiter.unwrap_or(b','))
        .trim(csv::Trim::All)
        .from_reader(text.take(u64::MAX));
    let mut target = None;
    let mut names: Vec<String> = Vec::new();
    let (mut x, mut y) = (Vec::new(), Vec::new());
    let (mut rows, mut columns) = (0, 0);
    for (at, record) in reader.records().enumerate() {
        let record = record.map_err(|e| damaged(file, "the table", e))?;
        if at == 0 {
            columns = record.len();
            if record.iter().any(|cell| number(cell).is_none()) {
                names = record.iter().map(|name| name.trim().to_owned()).collect();
                let called = |name: &String| TARGETS.contains(&name.to_lowercase().as_str());
                target = names.iter().position(called);
                continue;
            }
        }
        for (column, cell) in record.iter().enumerate() {
            let value = number(cell).filter(|value| value.is_finite());
            let value = value.ok_or_else(|| {
                let line = record.position().map_or(at as u64 + 1, csv::Position::line);
                let name = names.get(column).map(|name| format!(" ({name})"));
                let name = name.unwrap_or_default();
                DataError::Cell {
                    file: file.to_owned(),
                    place: format!("line {line}, column {}{name}", column + 1),
                    reason: fault(cell.trim(), Some(column) == target),
                }
            })?;
            if Some(column) == target {
                y.push(value);
            } else {
                x.push(value);
            }
        }
        rows += 1;
    }
    let array = |name: &str, shape: Vec<usize>, values| Array {
        file: file.to_owned(),
        name: name.to_owned(),
        dtype: "text".to_owned(),
        shape,
        values,
    };
    let features = columns - usize::from(target.is_some());
    let samples = array("x", vec![rows, features], Values::Float(x));
    let targets = target.map(|_| {
        let whole = y.iter().all(|v| v.fract() == 0.0 && v.abs() < 1e9);
        let values = match whole {
            true => Values::Int(y.iter().map(|v| *v as i64).collect()),
            false => Values::Float(y),
        };
        array("y", vec![rows], values)
    });
    Ok((samples, targets))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn floats(array: &Array) -> &[f32] {
        match &array.values {
            Values::Float(values) => values,
            _ => panic!("no floats"),
        }
    }

    #[test]
    fn tables_with_and_without_names() {
        for text in [
            "1,2.5,-3\n4,5,6e-1\n",
            "\u{feff}1;2.5;-3\r\n4;5;6e-1\r\n",
            "a\tb\tc\n1\t2.5\t-3\n4\t5\t0.6",
            "a;b;c\n1;2,5;-3\n4;5;0,6",
            "1;2,5;-3,0\n4;5;6e-1",
        ] {
            assert!(is_table(text.trim_start_matches('\u{feff}').as_bytes()));
            let (x, y) = parse("t.csv", text.as_bytes()).unwrap();
            assert_eq!(x.shape, [2, 3], "{text}");
            assert_eq!(floats(&x), [1.0, 2.5, -3.0, 4.0, 5.0, 0.6]);
            assert!(y.is_none());
        }
        let (x, y) = parse("t.csv", b"ax,Label,\"a, y\"\n1,0,2\n3,1,4\n").unwrap();
        assert_eq!(floats(&x), [1.0, 2.0, 3.0, 4.0]);
        assert!(matches!(y.unwrap().values, Values::Int(labels) if labels == [0, 1]));
        let (_, y) = parse("t.csv", b"target,x\n0.5,1\n").unwrap();
        assert_eq!(floats(&y.unwrap()), [0.5]);
    }

    #[test]
    fn what_is_no_table_of_numbers_is_named() {
        let refused = |text: &str| match parse("t.csv", text.as_bytes()) {
            Err(error) => error.to_string(),
            Ok(_) => panic!("{text}"),
        };
        let text = refused("ax,ay\n1,2\n3,abc\n");
        assert!(
            text.contains("line 3, column 2 (ay)") && text.contains("\"abc\""),
            "{text}"
        );
        assert!(refused("1,2\n3\n").contains("fields"));
        assert!(refused("1,nan\n2,3\n4,inf\n").contains("no finite number"));
        assert!(refused("a,b\n1,\n").contains("column 2 (b): it is empty"));
        assert!(refused("a,label\n1,cat\n").contains("whole numbers from 0 on"));
        assert!(!is_table(b"\x00\x01,2"));
        assert!(!is_table(b"hello"));
    }
}
