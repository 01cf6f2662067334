use std::io::{Cursor, Write};
use std::path::Path;

use flate2::{Compression, write::GzEncoder};
use npyz::WriterBuilder;
use proptest::prelude::*;
use zip::write::{SimpleFileOptions, ZipWriter};

use super::*;

fn npy<T: npyz::AutoSerialize>(shape: &[u64], order: npyz::Order, values: Vec<T>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = npyz::WriteOptions::new()
        .default_dtype()
        .shape(shape)
        .order(order)
        .writer(&mut bytes)
        .begin_nd()
        .unwrap();
    writer.extend(values).unwrap();
    writer.finish().unwrap();
    bytes
}

fn c<T: npyz::AutoSerialize>(shape: &[u64], values: Vec<T>) -> Vec<u8> {
    npy(shape, npyz::Order::C, values)
}

/// A version 1 array with this header and this data.
fn raw_npy(header: &str, data: &[u8]) -> Vec<u8> {
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(data);
    bytes
}

fn npz(arrays: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in arrays {
        zip.start_file(format!("{name}.npy"), SimpleFileOptions::default())
            .unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

fn idx(code: u8, shape: &[u32], data: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, code, shape.len() as u8];
    bytes.extend(shape.iter().flat_map(|d| d.to_be_bytes()));
    bytes.extend(data);
    bytes
}

fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn error(bytes: &[u8]) -> String {
    load_bytes("some.npz", bytes).unwrap_err().to_string()
}

#[test]
fn bytes_stay_bytes_and_labels_come_along() {
    let file = npz(&[
        ("x", c(&[2, 1, 3], vec![1u8, 2, 3, 4, 5, 6])),
        ("y", c(&[2], vec![7u8, 9])),
    ]);
    let data = load_bytes("d.npz", &file).unwrap();
    assert_eq!(data.shape(), [1, 3]);
    assert_eq!((data.len(), data.sample_size()), (2, 3));
    assert_eq!(data.sample(1), Some(Sample::U8(&[4, 5, 6])));
    assert_eq!(data.sample(2), None);
    assert_eq!(data.sample(usize::MAX), None);
    assert_eq!(data.labels(), Some([7, 9].as_slice()));
    let first = data.take(1);
    assert_eq!((first.len(), first.labels().unwrap()), (1, [7].as_slice()));
}

#[test]
fn every_numeric_type_becomes_float32() {
    let files = [
        c(&[3], vec![-1i8, 0, 100]),
        c(&[3], vec![-1i16, 0, 100]),
        c(&[3], vec![-1i32, 0, 100]),
        c(&[3], vec![-1i64, 0, 100]),
        c(&[3], vec![-1f32, 0., 100.]),
        c(&[3], vec![-1f64, 0., 100.]),
    ];
    for x in files {
        let data = load_bytes("d.npy", &x).unwrap();
        assert_eq!(*data.samples(), Samples::F32(vec![-1., 0., 100.]));
        assert!(data.shape().is_empty());
        assert_eq!(data.labels(), None);
    }
    for x in [
        c(&[2], vec![3u16, 400]),
        c(&[2], vec![3u32, 400]),
        c(&[2], vec![3u64, 400]),
        raw_npy(
            "{'descr': '>u2', 'fortran_order': False, 'shape': (2,)}",
            &[0, 3, 1, 144],
        ),
    ] {
        let data = load_bytes("d.npy", &x).unwrap();
        assert_eq!(*data.samples(), Samples::F32(vec![3., 400.]));
    }
    let flags = raw_npy(
        "{'descr': '|b1', 'fortran_order': False, 'shape': (2, 1)}",
        &[1, 0],
    );
    let data = load_bytes("d.npy", &flags).unwrap();
    assert_eq!(data.byte_scale(), 1.0, "a bool is 0 or 1");
    assert_eq!(*data.samples(), Samples::U8(vec![1, 0]));
}

#[test]
fn bytes_have_a_scale_that_goes_where_they_go() {
    let set = |x: Vec<u8>| load_bytes("d.npy", &c(&[2, 1], x)).unwrap();
    let plain = set(vec![0, 255]);
    assert_eq!(plain.to_floats(), [0.0, 1.0]);
    let halves = set(vec![1, 3]).with_byte_scale(0.5);
    assert_eq!(halves.to_floats(), [0.5, 1.5]);
    assert_eq!(halves.select(&[1]).unwrap().to_floats(), [1.5]);
    assert_eq!(halves.clone().take(1).to_floats(), [0.5]);
    let both = vec![halves.clone(), halves.clone()];
    let bytes = DataSet::side_by_side(both).unwrap();
    assert_eq!(*bytes.samples(), Samples::U8(vec![1, 1, 3, 3]));
    assert_eq!(bytes.to_floats(), [0.5, 0.5, 1.5, 1.5]);
    // Bytes of two scales have none in common.
    let floats = DataSet::side_by_side(vec![halves, plain]).unwrap();
    assert_eq!(*floats.samples(), Samples::F32(vec![0.5, 0.0, 1.5, 1.0]));
}

#[test]
fn fortran_order_is_turned_around() {
    let column_major = vec![0u8, 3, 1, 4, 2, 5];
    let data = load_bytes("d.npy", &npy(&[2, 3], npyz::Order::Fortran, column_major)).unwrap();
    assert_eq!(*data.samples(), Samples::U8(vec![0, 1, 2, 3, 4, 5]));
}

#[test]
fn labels_in_every_form() {
    let labels = |y: Vec<u8>| {
        let file = npz(&[("x", c(&[3, 1], vec![0f32; 3])), ("y", y)]);
        load_bytes("d.npz", &file).map(|d| d.labels().unwrap().to_vec())
    };
    let expected = vec![2, 0, 1];
    assert_eq!(labels(c(&[3], vec![2i64, 0, 1])).unwrap(), expected);
    assert_eq!(labels(c(&[3, 1], vec![2u32, 0, 1])).unwrap(), expected);
    let soft = vec![0., 0.1, 0.9, 1., 0., 0., 0.2, 0.6, 0.2];
    assert_eq!(labels(c::<f32>(&[3, 3], soft)).unwrap(), expected);
    let hot = vec![0u8, 0, 1, 1, 0, 0, 0, 1, 0];
    assert_eq!(labels(c(&[3, 3], hot)).unwrap(), expected);

    assert_eq!(labels(c(&[3], vec![2f32, 0., 1.])).unwrap(), expected);
    let few = labels(c(&[2], vec![2i64, 0])).unwrap_err().to_string();
    assert!(
        few.contains("array y has shape [2]") && few.contains("[3, 1]"),
        "{few}"
    );
}

#[test]
fn targets_that_are_no_classes_are_values() {
    let targets = |x: Vec<u8>, y: Vec<u8>| {
        let data = load_bytes("d.npz", &npz(&[("x", x), ("y", y)])).unwrap();
        assert_eq!(data.labels(), None);
        // A block at a time gives the same.
        let second = data.select(&[1]).unwrap().targets().cloned().unwrap();
        (data.targets().cloned().unwrap(), second)
    };
    let x = || c(&[2, 1], vec![0f32; 2]);
    let values = |size, values: &[f32], bytes| Targets::Values {
        size,
        values: values.to_vec(),
        bytes,
        labels: true,
    };
    let (all, second) = targets(x(), c(&[2], vec![0.5f32, -2.0]));
    assert_eq!(all, values(1, &[0.5, -2.0], false));
    assert_eq!(second, values(1, &[-2.0], false));
    let (all, second) = targets(x(), c(&[2, 2], vec![1u8, 1, 0, 0]));
    assert_eq!(all, values(2, &[1.0, 1.0, 0.0, 0.0], false));
    assert_eq!(second, values(2, &[0.0, 0.0], false));
    let (all, _) = targets(x(), c(&[2], vec![-1i64, 1]));
    assert_eq!(all, values(1, &[-1.0, 1.0], false));
    let (all, _) = targets(x(), c::<f32>(&[2, 2], vec![0.5, 0.6, 0.0, 1.0]));
    assert_eq!(all, values(2, &[0.5, 0.6, 0.0, 1.0], false));
    // What an autoencoder gives back.
    let picture = || c(&[2, 1, 2], vec![7u8, 9, 0, 1]);
    let (all, _) = targets(picture(), picture());
    assert_eq!(all, values(2, &[7.0, 9.0, 0.0, 1.0], true));
}

#[test]
fn idx_files_and_their_labels() {
    let dir = tempfile::tempdir().unwrap();
    let images = idx(8, &[2, 2, 2], &[1, 2, 3, 4, 5, 6, 7, 8]);
    let labels = idx(8, &[2], &[4, 3]);
    let write = |name: &str, bytes: &[u8]| {
        let path = dir.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let alone = write("digits", &images);
    assert_eq!(load(&alone).unwrap().labels(), None);

    let packed = write("train-images-idx3-ubyte.gz", &gz(&images));
    let beside = write("train-labels-idx1-ubyte.gz", &gz(&labels));
    let plain = write("t10k-images-idx3-ubyte", &images);
    write("t10k-labels-idx1-ubyte", &labels);
    for data in [
        load(&packed).unwrap(),
        load(&plain).unwrap(),
        load_with_labels(&alone, &beside).unwrap(),
        load_with_labels(&alone, write("l.npy", &c(&[2], vec![4i32, 3]))).unwrap(),
        load_with_labels(
            &alone,
            write("l.npz", &npz(&[("y", c(&[2], vec![4i32, 3]))])),
        )
        .unwrap(),
    ] {
        assert_eq!(data.shape(), [2, 2]);
        assert_eq!(data.sample(1), Some(Sample::U8(&[5, 6, 7, 8])));
        assert_eq!(data.labels(), Some([4, 3].as_slice()));
    }
    let missing = load(dir.path().join("none.npz")).unwrap_err();
    assert!(missing.to_string().contains("none.npz"), "{missing}");
    let folder = load(dir.path()).unwrap_err();
    assert!(
        folder.to_string().contains("not a regular file"),
        "{folder}"
    );
}

#[test]
fn idx_numbers_are_big_endian() {
    let data = load_bytes("i", &idx(0x0b, &[1, 2], &[1, 0, 255, 255])).unwrap();
    assert_eq!(*data.samples(), Samples::F32(vec![256., -1.]));
    let data = load_bytes("i", &idx(0x0d, &[1], &1.5f32.to_be_bytes())).unwrap();
    assert_eq!(*data.samples(), Samples::F32(vec![1.5]));
}

#[test]
fn claims_are_not_believed() {
    for (file, expected) in [
        (
            idx(8, &[u32::MAX, u32::MAX, u32::MAX], &[]),
            "are read from a file of its length",
        ),
        (
            idx(8, &[60_000, 28, 28], &[1, 2, 3]),
            "it ends before the values",
        ),
        (idx(8, &[1, 1], &[1, 2]), "more data follows"),
        (
            gz(&idx(8, &[2_000_000_000], &[])),
            "are read from a file of its length",
        ),
        (
            raw_npy(
                "{'descr': '<f8', 'fortran_order': False, 'shape': (18446744073709551615, 2)}",
                &[],
            ),
            "are read from a file of its length",
        ),
        (
            raw_npy(
                "{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 0)}",
                &[],
            ),
            "the samples are empty",
        ),
        (
            raw_npy(
                "{'descr': '<f4', 'fortran_order': False, 'shape': (0, 3)}",
                &[],
            ),
            "there is no sample",
        ),
        (
            raw_npy(
                "{'descr': '<f4', 'fortran_order': False, 'shape': ()}",
                &[0; 4],
            ),
            "first axis",
        ),
        (
            raw_npy(
                "{'descr': '<c8', 'fortran_order': False, 'shape': (1,)}",
                &[0; 8],
            ),
            "dtype <c8",
        ),
        (
            raw_npy(
                "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,)}",
                &[0; 4],
            ),
            "dtype [('a', '<f4')]",
        ),
        (raw_npy(&"(".repeat(9000), &[]), "a header of unknown form"),
        (raw_npy(&" ".repeat(10_001), &[]), "a header of 10001 bytes"),
        (
            b"\x93NUMPY\x02\x00\xff\xff\xff\xff".to_vec(),
            "a header of 4294967295 bytes",
        ),
        (b"\x93NUMPY".to_vec(), "the data ends here"),
        (b"PK\x03\x04 no archive".to_vec(), "the archive"),
        (b"\x1f\x8bx".to_vec(), "the IDX header"),
        (b"\x89HDF\r\n".to_vec(), "numpy.savez"),
        (Vec::new(), "numpy.savez"),
        (
            npz(&[("b", vec![]), ("a", vec![])]),
            "no array \"x\" among [a, b]",
        ),
    ] {
        let message = error(&file);
        assert!(
            message.contains(expected) && message.contains("some.npz"),
            "{message}"
        );
    }
}

#[test]
fn a_bomb_is_refused_before_it_is_unpacked() {
    let zeros = idx(8, &[1, 1], &vec![0; 1 << 20]);
    assert!(error(&gz(&zeros)).contains("more data follows"));
    let header = "{'descr': '|u1', 'fortran_order': False, 'shape': (3221225472,)}";
    let bomb = npz(&[("x", raw_npy(header, &vec![0; 1 << 20]))]);
    assert!(error(&bomb).contains("array x has 3221225472 bytes"));
}

#[test]
fn values_must_be_finite() {
    for bad in [f64::NAN, f64::INFINITY, 1e300] {
        let x = c(&[3, 2], vec![0., 1., 2., bad, 4., 5.]);
        let message = error(&npz(&[("x", x)]));
        assert!(
            message.contains("array x, sample 1: the value"),
            "{message}"
        );
    }
}

#[test]
fn a_flipped_byte_in_an_archive_is_found() {
    let x = c(&[1, 4096], (0..4096).map(|i| (i * 7 % 251) as u8).collect());
    let good = npz(&[("x", x)]);
    let mut bad = good.clone();
    let middle = bad.len() / 2;
    bad[middle] ^= 0x10;
    assert!(load_bytes("d.npz", &good).is_ok());
    assert!(load_bytes("d.npz", &bad).is_err());
}

#[test]
fn the_bundled_sets_load() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../data");
    for (name, count) in [
        ("mnist_test10k.npz", 10_000),
        ("mnist_calibration2k.npz", 2_000),
    ] {
        let data = load(root.join(name)).unwrap();
        assert_eq!((data.len(), data.shape()), (count, [28, 28].as_slice()));
        assert!(data.labels().unwrap().iter().all(|&label| label < 10));
    }
}

fn pieces() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..40),
        Just(npz(&[
            ("x", c(&[2, 2], vec![1f32; 4])),
            ("y", c(&[2], vec![1u8; 2]))
        ])),
        Just(c(&[2, 2], vec![1f64; 4])),
        Just(idx(8, &[2, 2], &[1, 2, 3, 4])),
        Just(gz(&idx(8, &[2, 2], &[1, 2, 3, 4]))),
    ]
}

proptest! {
    #[test]
    fn garbage_never_panics(
        mut bytes in pieces(),
        flips in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 0..4),
        cut in any::<proptest::sample::Index>(),
        whole in any::<bool>(),
    ) {
        for (at, value) in flips {
            if !bytes.is_empty() {
                let at = at.index(bytes.len());
                bytes[at] = value;
            }
        }
        if !whole && !bytes.is_empty() {
            bytes.truncate(cut.index(bytes.len()));
        }
        if let Ok(data) = load_bytes("d", &bytes) {
            prop_assert!(data.sample(data.len() - 1).is_some());
            prop_assert!(data.sample(data.len()).is_none());
        }
    }

    #[test]
    fn what_is_written_is_read(
        rows in 1u64..5, columns in 1u64..5, fortran in any::<bool>(), seed in any::<u32>(),
    ) {
        let count = (rows * columns) as u32;
        let values: Vec<f32> = (0..count).map(|i| (seed ^ i) as f32).collect();
        let order = if fortran { npyz::Order::Fortran } else { npyz::Order::C };
        let data = load_bytes("d", &npy(&[rows, columns], order, values.clone())).unwrap();
        for row in 0..rows {
            let expected: Vec<f32> = (0..columns)
                .map(|column| values[(if fortran { column * rows + row } else { row * columns + column }) as usize])
                .collect();
            prop_assert_eq!(data.sample(row as usize), Some(Sample::F32(&expected)));
        }
    }
}

/// An archive of two recordings on inputs of two polarities, two rows and three columns.
fn recordings(change: impl Fn(&mut Vec<(&'static str, Vec<i32>)>)) -> tempfile::NamedTempFile {
    let mut arrays = vec![
        ("offsets", vec![0, 5, 7]),
        ("t_us", vec![500, 900, 1499, 3000, 3700, 0, 2000]),
        ("x", vec![2, 2, 2, 0, 1, 1, 1]),
        ("y", vec![1, 1, 1, 0, 0, 0, 0]),
        ("p", vec![0, 0, 0, 1, 1, 0, 0]),
        ("label", vec![4, 3]),
    ];
    change(&mut arrays);
    let arrays = arrays.into_iter();
    let arrays: Vec<(&str, Vec<u8>)> = arrays
        .map(|(name, values)| (name, c(&[values.len() as u64], values)))
        .collect();
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(&npz(&arrays)).unwrap();
    file
}

#[test]
fn recordings_are_counted_in_steps() {
    let file = recordings(|_| ());
    let open = || Recordings::open(file.path()).unwrap().unwrap();
    // A step is 1 ms from the first event on; the fourth of the first recording is not over.
    let frames = open().frames(&[2, 2, 3], 0.001, None).unwrap();
    assert_eq!((frames.len(), frames.steps()), (2, 3));
    assert_eq!(frames.targets(), Some(&Targets::classes(vec![4, 3])));
    let events = |samples, steps| {
        let dense = frames.dense(samples, steps);
        let values = dense.data().iter().enumerate();
        let found: Vec<(usize, f32)> = values
            .filter(|(_, v)| **v != 0.0)
            .map(|(at, v)| (at, *v))
            .collect();
        (dense.shape().to_vec(), found)
    };
    let (first, second) = ([(5, 3.0), (2 * 12 + 6, 1.0)], [(36 + 1, 1.0)]);
    let all = [first.as_slice(), &second].concat();
    assert_eq!(events(0..9, 99), (vec![2, 3, 2, 2, 3], all));
    assert_eq!(events(0..1, 2), (vec![1, 2, 2, 2, 3], first[..1].to_vec()));
    // Longer steps, and steps that are padded or cut.
    let frames = open().frames(&[2, 2, 3], 0.0016, Some(4)).unwrap();
    assert_eq!(frames.dense(0..2, 4).data().iter().sum::<f32>(), 5.0);
    let one = open().take(1).frames(&[2, 2, 3], 0.001, Some(1)).unwrap();
    assert_eq!(one.dense(0..2, 4).data().iter().sum::<f32>(), 3.0);
    assert_eq!(one.targets(), Some(&Targets::classes(vec![4])));
    // At even distances: of six recordings the first and the fourth.
    let six = recordings(|arrays| {
        for (name, values) in arrays {
            *values = match *name {
                "offsets" => (0..=6).collect(),
                "label" => (0..6).collect(),
                "t_us" => vec![0; 6],
                "x" => vec![0, 1, 2, 0, 1, 2],
                _ => vec![0; 6],
            };
        }
    });
    let two = Recordings::open(six.path()).unwrap().unwrap().evenly(2);
    let frames = two.frames(&[2, 2, 3], 0.001, Some(1)).unwrap();
    assert_eq!(frames.targets(), Some(&Targets::classes(vec![0, 3])));
    let dense = frames.dense(0..2, 1);
    let places = dense.data().iter().enumerate();
    let places: Vec<usize> = places
        .filter(|(_, v)| **v != 0.0)
        .map(|(at, _)| at)
        .collect();
    assert_eq!(places, [0, 12]);
    // Other data is not taken for events, and events are not taken for other data.
    let other = recordings(|arrays| arrays.retain(|(name, _)| *name != "offsets"));
    assert_eq!(Recordings::open(other.path()).unwrap(), None);
    for refused in [load(file.path()).err(), about(file.path()).err()] {
        let refused = refused.unwrap().to_string();
        assert!(refused.contains("recordings of events"), "{refused}");
    }
}

#[test]
fn recordings_that_contradict_themselves_are_refused() {
    fn set(arrays: &mut [(&'static str, Vec<i32>)], name: &str, values: &[i32]) {
        let array = arrays.iter_mut().find(|(own, _)| *own == name).unwrap();
        array.1 = values.to_vec();
    }
    type Change = fn(&mut Vec<(&'static str, Vec<i32>)>);
    let cases: [(Change, &str); 7] = [
        (
            |a| set(a, "offsets", &[0, 5, 8]),
            "ascend from 0 to the number of events, which is 7",
        ),
        (|a| set(a, "offsets", &[0, 0, 7]), "no recording is empty"),
        (
            |a| set(a, "t_us", &[500, 900, 899, 3000, 3700, 0, 2000]),
            "sample 0: times go back",
        ),
        (|a| set(a, "x", &[2]), "one value for each of 7 events"),
        (|a| set(a, "label", &[4]), "one label"),
        (
            |a| a.retain(|(name, _)| *name != "t_us"),
            "no array \"t_us\"",
        ),
        (|a| a.retain(|(name, _)| *name != "x"), "no array \"x\""),
    ];
    for (change, part) in cases {
        let error = Recordings::open(recordings(change).path()).unwrap_err();
        assert!(error.to_string().contains(part), "{error}");
    }
    let cases: [(Change, &[usize], f64, &str); 5] = [
        (
            |_| (),
            &[2, 2, 2],
            0.001,
            "array x, sample 0: an event at 2, and the input has 2 places there",
        ),
        (
            |a| set(a, "p", &[0, 0, 0, 1, 1, -1, 0]),
            &[2, 2, 3],
            0.001,
            "array p, sample 1: an event at -1",
        ),
        (
            |_| (),
            &[12],
            0.001,
            "addresses have the parts p, y, x, and the input has the axes [12]",
        ),
        (
            |a| a.retain(|(name, _)| *name != "p"),
            &[2, 2, 3],
            0.001,
            "addresses have the parts y, x",
        ),
        (|_| (), &[2, 2, 3], 1e-12, "give longer or fewer steps"),
    ];
    for (change, shape, seconds, part) in cases {
        let open = Recordings::open(recordings(change).path())
            .unwrap()
            .unwrap();
        let error = open.frames(shape, seconds, None).unwrap_err();
        assert!(error.to_string().contains(part), "{error}");
    }
    // An axis of length 1 needs no part.
    let flat = recordings(|a| a.retain(|(name, _)| *name != "p"));
    let open = Recordings::open(flat.path()).unwrap().unwrap();
    assert!(open.frames(&[1, 2, 3], 0.001, None).is_ok());
}

#[test]
fn clones_share_their_samples_until_one_changes() {
    let set = DataSet::new(vec![2], Samples::U8(vec![1, 2, 3, 4]), None).unwrap();
    let scaled = set.clone().with_byte_scale(1.0);
    assert!(std::ptr::eq(set.samples(), scaled.samples()));
    let short = scaled.take(1);
    assert_eq!((short.len(), set.len()), (1, 2));
    assert_eq!(set.samples(), &Samples::U8(vec![1, 2, 3, 4]));
}
