//! Boards in QEMU run the same images to the same bits as the host.

use std::path::Path;
use std::time::Duration;
use synop::firmware::build::{Parts, Source, Toolchain, Wanted, compile, link};
use synop::firmware::run::{emulate, has_emulator};
use synop::firmware::{Board, Outcome, Script};
use synop_core::{Image, Portable};
use synop_model::image::{Blob, write};
use synop_model::lower::FloatNetwork;
use synop_model::nir::Graph;
use synop_model::placement::Placement;
use synop_model::profile::Profile;
use synop_model::quantize::{Options, quantize};

/// The trained digits network of 8-bit weights.
fn digits() -> Blob {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/nir/digits_snntorch.nir");
    let graph = Graph::open(&path).unwrap().flatten().unwrap();
    let profile = Profile::named("snntorch").unwrap().with_dt_of(&graph).unwrap();
    let network = FloatNetwork::of(&graph, &profile).unwrap();
    let quantized = quantize(&network, &Options::bits(8)).unwrap();
    write(&quantized.network, &Placement::one_core(&quantized.network)).unwrap()
}

#[test]
fn digits_are_the_same_on_every_board() {
    let blob = digits();
    let image = blob.image().unwrap();
    let mut script = Script::new(&image);
    for row in 0..4 {
        script.rest();
        for t in 0..25u64 {
            let pixels = (0..64u64).map(|i| (i * 7 + row * 13) % 17);
            let events: Vec<_> = pixels
                .enumerate()
                .filter(|(_, p)| (t + 1) * p / 16 - t * p / 16 != 0)
                .map(|(i, _)| [i as i32, 1])
                .collect();
            script.events(0, &events);
            script.step(1);
        }
        script.read(2, true, true);
    }
    let script = script.end();
    same(&image, &script);
}

fn same(image: &Image<'_>, script: &Script) {
    let host = Outcome::on_host(*image, script.bytes(), &Portable).unwrap();
    let source = Source::find().unwrap();
    for board in Board::emulated() {
        let toolchain = match Toolchain::for_target(&board.target) {
            Ok(t) if has_emulator(&board) => t,
            Ok(_) => return synop::testing::skip("QEMU is not installed"),
            Err(e) => return synop::testing::skip(&e.to_string()),
        };
        let library = compile(&source, &toolchain, "synop-board", &board.target).unwrap();
        let parts = Parts {
            image: image.bytes(),
            arena: image.memory(0..image.cores).bytes() as u64,
            input: script.bytes(),
            wanted: Wanted { trace: true, meter: true, ..Wanted::default() },
        };
        let program = link(&source, &toolchain, &library, &board, parts).unwrap_or_else(|e| panic!("{e}"));
        let said =
            emulate(&board, &program.elf, &[], Duration::from_secs(60)).unwrap_or_else(|e| panic!("{e}"));
        println!("{} {:?} {:?} {:?} {:?}", board.name, program.sizes, said.stack, said.spent, said.error);
        assert_eq!(said.error, None);
        assert_eq!(said.outcome.difference(&host), None, "{}", board.name);
    }
}
