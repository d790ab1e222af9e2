use super::*;
use axes::{Wanted, infer};
use std::io::Write;

fn port(shape: &[usize]) -> Vec<Port> {
    vec![Port { name: "input".into(), shape: shape.to_vec() }]
}

fn array(shape: &[usize]) -> npy::Array {
    let count = shape.iter().product::<usize>();
    npy::Array { shape: shape.to_vec(), values: (0..count).map(|v| v as f64).collect() }
}

fn order(shape: &[usize], port: &[usize], labels: Option<usize>) -> String {
    let wanted = Wanted { port, encoded: false, samples: labels };
    infer(shape, &wanted, None).map_or_else(|(found, _)| found, |axes| axes.describe())
}

#[test]
fn axis_order_follows_from_the_shape_of_the_input() {
    assert!(order(&[25, 64], &[64], None).starts_with("(time 25, input 64)"));
    assert!(order(&[64, 25], &[64], None).starts_with("(input 64, time 25)"));
    assert!(order(&[25, 3, 64], &[64], None).starts_with("(time 25, sample 3, input 64)"));
    assert!(order(&[3, 25, 64], &[64], Some(3)).starts_with("(sample 3, time 25, input 64)"));
    assert!(order(&[3, 64], &[64], Some(3)).starts_with("(sample 3, input 64)"));
    assert!(order(&[25, 2, 8, 8], &[2, 8, 8], None).starts_with("(time 25, input 2, input 8, input 8)"));
    assert!(order(&[25, 128], &[2, 8, 8], None).starts_with("(time 25, input 128)"));
    assert!(order(&[25, 63], &[64], None).contains("shape [25, 63]"));
    let wanted = Wanted { port: &[64], encoded: false, samples: None };
    let said = infer(&[3, 25, 64], &wanted, Some("btn")).unwrap();
    assert_eq!((said.batch_size(), said.ticks()), (3, 25));
    for wrong in ["TN", "TTN", "TB", "XYN"] {
        assert!(infer(&[3, 25, 64], &wanted, Some(wrong)).is_err(), "{wrong}");
    }
}

#[test]
fn samples_are_cut_out_of_any_order_of_axes() {
    let wanted = Wanted { port: &[2], encoded: false, samples: None };
    let all = |shape: &[usize], order: &str| {
        let array = array(shape);
        infer(shape, &wanted, Some(order)).unwrap().samples(&array).collect::<Vec<_>>()
    };
    // Value of (t, b, n) in each layout.
    assert_eq!(all(&[2, 3, 2], "TBN")[1], [vec![2.0, 3.0], vec![8.0, 9.0]]);
    assert_eq!(all(&[3, 2, 2], "BTN")[1], [vec![4.0, 5.0], vec![6.0, 7.0]]);
    assert_eq!(all(&[2, 3], "NT"), [[vec![0.0, 3.0], vec![1.0, 4.0], vec![2.0, 5.0]]]);
}

#[test]
fn events_are_read_with_and_without_a_header() {
    let args = InputArgs { ticks: Some(4), ..InputArgs::default() };
    let parse = |text: &str, shape: &[usize]| events::parse(Path::new("e.csv"), text, &args, &port(shape));
    let plain = parse("0,3\n2,1\n2,1\n", &[4]).unwrap().samples;
    assert_eq!(plain[0].tick(0), [(3, 1.0)]);
    assert_eq!(plain[0].tick(2), [(1, 2.0)]);
    assert_eq!(plain[0].ticks(), 4);
    let camera = parse("p,t,y,x\n1,3,0,2\n", &[2, 2, 3]).unwrap().samples;
    assert_eq!(camera[0].tick(3), [(8, 1.0)]);
    let two = parse("sample,t,neuron,value\n1,0,2,-0.5\n", &[4]).unwrap().samples;
    assert_eq!((two.len(), two[1].tick(0)), (2, &[(2, -0.5)][..]));
    for (text, place) in [("0,4\n", "line 1"), ("t,neuron\n0,1\n-1,1\n", "line 3"), ("a,b,c\n", "line 1")] {
        let failure = parse(text, &[4]).unwrap_err();
        assert!(failure.to_string().contains(place), "{failure}");
        assert_eq!(failure.exit_code(), 2);
    }
}

#[test]
fn a_zip_of_arrays_is_read_stored_and_deflated() {
    let content = npy::bytes(&array(&[2, 3]));
    for deflated in [false, true] {
        let packed = if deflated {
            let mut packer = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
            packer.write_all(&content).unwrap();
            packer.finish().unwrap()
        } else {
            content.clone()
        };
        let archive = zip("in.npy", &packed, content.len(), if deflated { 8 } else { 0 });
        let arrays = npz::parse(&archive).unwrap();
        assert_eq!(arrays, [("in".to_owned(), array(&[2, 3]))]);
        for cut in 0..archive.len() {
            assert!(npz::parse(&archive[..cut]).is_err());
        }
        for at in 0..archive.len() {
            let mut broken = archive.clone();
            broken[at] ^= 0x55;
            let _ = npz::parse(&broken);
        }
    }
}

/// An archive of one file, laid out as NumPy does.
fn zip(name: &str, packed: &[u8], size: usize, method: u16) -> Vec<u8> {
    let fields = |local: bool| {
        let mut out = Vec::new();
        out.extend(if local { b"PK\x03\x04".as_slice() } else { b"PK\x01\x02\x14\x00" });
        out.extend([20, 0, 0, 0]);
        out.extend(method.to_le_bytes());
        out.extend([0; 8]);
        out.extend((packed.len() as u32).to_le_bytes());
        out.extend((size as u32).to_le_bytes());
        out.extend((name.len() as u16).to_le_bytes());
        out.extend([0; 2]);
        if !local {
            out.extend([0; 14]);
        }
        out.extend(name.as_bytes());
        out
    };
    let mut out = fields(true);
    out.extend(packed);
    let directory = out.len() as u32;
    out.extend(fields(false));
    let len = out.len() as u32 - directory;
    out.extend(b"PK\x05\x06\0\0\0\0\x01\0\x01\0");
    out.extend(len.to_le_bytes());
    out.extend(directory.to_le_bytes());
    out.extend([0, 0]);
    out
}

#[test]
fn the_digits_test_rows_become_the_rate_code_of_the_trained_networks() {
    let args = InputArgs {
        split: "test".into(),
        encode: Some("rate:25".parse().unwrap()),
        limit: Some(20),
        ..InputArgs::default()
    };
    let common = Common { data: Some("digits".into()), ..Common::default() };
    let inputs = Inputs::load(&args, &common, &port(&[64]), None).unwrap();
    assert_eq!((inputs.len(), inputs.width), (20, 64));
    assert_eq!(inputs.labels.as_ref().unwrap()[..5], [3, 7, 5, 1, 8]);
    let first = inputs.sample(0).unwrap();
    // floor((t+1)*9/16) - floor(t*9/16) of pixel 2, whose grey is 9.
    let spikes: Vec<usize> = (0..25).filter(|t| first.tick(*t).iter().any(|(n, _)| *n == 2)).collect();
    let wanted: Vec<usize> = (0..25).filter(|t| (t + 1) * 9 / 16 > t * 9 / 16).collect();
    assert_eq!(spikes, wanted);
    let wrong = Inputs::load(&args, &common, &port(&[65]), None).unwrap_err();
    assert!(wrong.to_string().contains("65"), "{wrong}");
}
