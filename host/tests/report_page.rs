//! The report page, written with every figure it can hold and opened in a browser.

use std::path::Path;
use std::process::Command;

use serde_json::json;
use synop::plot::{Heat, Raster, Xy};
use synop::report::{Counts, Image, Latency, Page, PerStep, Report, Section, SynOps, Task, Training};
use synop_cost::{Bill, Cell, Run, shipped};

fn bill(chip: &str, events: u64) -> Bill {
    let cells = [("hidden", 0, 3), ("readout", 1, 1)].map(|(population, core, share)| Cell {
        core,
        population: population.to_owned(),
        neurons: 64,
        kinds: Default::default(),
        counts: synop_cost::Counts {
            ticks: 100,
            synaptic_events: events * share,
            soma_accesses: 640 * share,
            soma_updates: 320 * share,
            soma_spikes: 90 * share,
            packets_out: 90,
            ..Default::default()
        },
    });
    let run = Run { time_s: Some(1e-3), cores_used: 2, ..Default::default() };
    Bill::of(&shipped::chip(chip).unwrap(), &cells, &run)
}

fn run(label: &str, bits: u32, accuracy: f64, events: u64) -> Report {
    let mut run = Report::labelled(1, label);
    run.profile.insert("time step".into(), json!("1 ms"));
    run.profile.insert("reset".into(), json!("by subtraction, at once"));
    run.image = Some(Image {
        sha256: format!("{:064x}", u64::from(bits) * events),
        initial_sha256: Some(format!("{:064x}", 7)),
        weight_bits: bits,
    });
    run.task =
        Some(Task { samples: 540, train_samples: Some(1257), accuracy: Some(accuracy), ..Task::default() });
    run.counts = Some(Counts { steps: 54_000, neurons_fired: 90 * 540, ..Counts::default() });
    run.set_synops(SynOps { stored: events, effective: events - 3, ..SynOps::default() });
    run.energy = Some(bill("loihi1-fitted", events));
    run.other_chips = vec![bill("loihi1-published", events)];
    run.training = Some(Training { samples: 1257, ..Training::default() });
    let per_step = PerStep::of(&[1e-6, 2e-6, 4e-6 * accuracy]);
    run.latency = Some(Latency { model: "mesh".into(), total_s: 0.05, per_step });
    run.warnings.push("the price of a spike is fitted".into());
    if bits < 8 {
        run.warnings.push("<4 bits> & fewer lose accuracy".into());
    }
    run
}

fn full_page() -> Page {
    let mut report = Report::new(1);
    report.command = "demo --out report".into();
    report.warnings.push("energies are simulated, not measured on silicon".into());
    report.runs =
        vec![run("sparse (damping 10)", 8, 0.953, 160_000), run("dense (damping −1.5)", 4, 0.921, 900_000)];
    let ticks = || (0..200).map(f64::from);
    let membrane = Xy::new("Membranes of three neurons", "tick", "membrane (weight units)")
        .line("hidden 0", ticks().map(|t| (t, (t * 0.11).sin() * 60.0)))
        .line("hidden 1", ticks().map(|t| (t, (t * 0.07).cos() * 40.0)))
        .line("readout 3", ticks().map(|t| (t, t % 37.0)))
        .mark_y("threshold", 64.0);
    let rates = Xy::new("Firing rates", "spikes per sample", "neurons")
        .columns("hidden", (0..20).map(|i| (f64::from(i), f64::from((i * 7) % 19))));
    let raster = Raster::new("Spikes of the first sample")
        .population("hidden", 256, (0..800u64).map(|i| (i % 50, (i * i % 256) as u32)))
        .population("readout", 10, (0..20u64).map(|i| (2 * i, 3)));
    let mesh = Heat::new("Packets per core", "x", "y", "packets", 4, (0..16).map(f64::from).collect())
        .link((0, 0), (1, 0), 40.0)
        .link((1, 0), (1, 1), 12.0);
    let curve = Xy::new("Device curve", "pulse", "conductance (µS)")
        .band("spread", (0..64).map(|i| (f64::from(i), f64::from(i) * 0.9, f64::from(i) * 1.1)))
        .line("mean", (0..64).map(|i| (f64::from(i), f64::from(i))));
    let learning = Xy::new("Accuracy while learning", "epoch", "accuracy (%)")
        .intervals("held out", (1..9).map(|i| (f64::from(i), 95.0 - 20.0 / f64::from(i), 72.0, 96.0)));
    let per_tick = Xy::new("Latency per tick over time", "tick", "time (s)")
        .log_y()
        .line("sparse", ticks().map(|t| (t, 1e-6 + t * 1e-8)));
    Page::new(report)
        .figure(Section::Activity, &raster, "One dot per spike.")
        .figure(Section::Activity, &rates, "How many neurons fire how often.")
        .figure(Section::Activity, &membrane, "Before reset.")
        .figure(Section::Learning, &learning, "Mean and extremes over seeds.")
        .figure(Section::Network, &mesh, "Arrows show link loads.")
        .figure(Section::Latency, &per_tick, "Time of the emulated chip.")
        .figure(Section::Device, &curve, "Mean and spread over devices.")
}

#[test]
fn warnings_come_first_and_every_figure_has_a_table_and_a_file() {
    let folder = tempfile::tempdir().unwrap();
    full_page().write(folder.path()).unwrap();
    let html = std::fs::read_to_string(folder.path().join("report.html")).unwrap();
    let place = |text: &str| html.find(text).unwrap_or_else(|| panic!("no {text:?} in the page"));
    assert!(place("Read this first") < place("<h2>Summary"));
    assert!(place("dense (damping −1.5): &lt;4 bits&gt; &amp; fewer lose accuracy") > 0);
    assert_eq!(html.matches("the price of a spike is fitted").count(), 1);
    let figures = html.matches("<figure>").count();
    assert_eq!(figures, 14, "the seven given and the seven that the keys give");
    assert_eq!(html.matches("<details>").count(), figures);
    assert_eq!(html.matches("<svg").count(), figures);
    for part in html.split("href=\"").skip(1) {
        let target = part.split('"').next().unwrap();
        if target != "data:," {
            assert!(folder.path().join(target).is_file(), "{target} is missing");
        }
    }
    for foreign in ["http://", "https://", "<script", "@import", "src="] {
        let own = html.matches("http://www.w3.org/2000/svg").count();
        let all = html.matches(foreign).count();
        assert_eq!(all, if foreign == "http://" { own } else { 0 }, "{foreign}");
    }
}

#[test]
fn the_terminal_text_fits_80_columns() {
    let text = full_page().report().terminal();
    for line in text.lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
    assert!(text.starts_with("warning: energies are simulated"), "{text}");
    assert!(text.contains("95.30"), "{text}");
}

#[test]
fn the_bill_and_its_figure_add_up_to_the_total() {
    let page = full_page();
    let bill = page.report().bill();
    for (run, name) in page.report().runs.iter().zip(["sparse", "dense"]) {
        let total = run.energy.as_ref().unwrap().total_j.unwrap().nominal;
        let parts = bill
            .rows()
            .iter()
            .filter(|row| matches!(&row[0], synop::table::Cell::Text(t) if t.starts_with(name)));
        let sum: f64 = parts
            .map(|row| match row[4] {
                synop::table::Cell::Number(j) => j,
                _ => 0.0,
            })
            .sum();
        assert!((sum / total - 1.0).abs() < 1e-9, "{name}: {sum} of {total}");
        let json = serde_json::to_value(&run.energy).unwrap();
        assert!(json["static_j"]["nominal"].as_f64().unwrap() > 0.0);
    }
    let html = page.html();
    let figure = html.split("<title>Energy by class</title>").nth(1).unwrap();
    assert!(figure.split("</svg>").next().unwrap().contains(">static<"));
}

#[test]
fn a_report_reads_back_as_it_was_written() {
    let page = full_page();
    let json = serde_json::to_string(page.report()).unwrap();
    let back: Report = serde_json::from_str(&json).unwrap();
    assert_eq!(&back, page.report());
    assert_eq!(serde_json::to_string(&back).unwrap(), json);
}

/// Adds a script that measures what a browser drew and leaves the result in the page.
fn with_probe(html: &str) -> String {
    let probe = "<script>\
        const bad=[];\
        for(const f of document.querySelectorAll('figure svg')){\
          const b=f.getBoundingClientRect();\
          const marks=f.querySelectorAll('path,rect').length;\
          if(b.width<200||b.height<60||marks<4)bad.push(f.querySelector('title').textContent);\
          const box=f.viewBox.baseVal;\
          for(const t of f.querySelectorAll('text')){const r=t.getBoundingClientRect();\
            if(r.left<b.left-2||r.right>b.right+2||r.top<b.top-2||r.bottom>b.bottom+2)bad.push('text outside: '+t.textContent);}\
        }\
        if(document.documentElement.scrollWidth>window.innerWidth)bad.push('wider than the window');\
        document.title='probe '+document.querySelectorAll('figure svg').length+' '+window.innerWidth+' ['+bad.join('; ')+']';\
        </script></body>";
    html.replace("</body>", probe)
}

fn browser() -> Option<&'static str> {
    ["chromium", "chromium-browser", "google-chrome"]
        .into_iter()
        .find(|name| Command::new(name).arg("--version").output().is_ok_and(|output| output.status.success()))
}

fn open(browser: &str, page: &Path, width: u32, dark: bool) -> (String, String) {
    let mut command = Command::new(browser);
    command.args(["--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr"]);
    command.args(["--virtual-time-budget=2000", "--dump-dom"]);
    command.arg(format!("--window-size={width},900"));
    if dark {
        command.arg("--blink-settings=preferredColorScheme=0");
    }
    let output = command.arg(format!("file://{}", page.display())).output().unwrap();
    (
        String::from_utf8_lossy(&output.stdout).into_owned(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    )
}

#[test]
fn a_browser_draws_every_figure_without_a_console_message_on_desk_and_phone() {
    let Some(browser) = browser() else {
        return synop::testing::skip("no Chromium is installed");
    };
    // Kept below the target folder, so that a person can look at it too.
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("report-page");
    full_page().write(&folder).unwrap();
    let page = folder.join("probed.html");
    std::fs::write(&page, with_probe(&full_page().html())).unwrap();
    for (width, dark) in [(1280, false), (1280, true), (500, false)] {
        let (dom, log) = open(browser, &page, width, dark);
        let title = dom.split("<title>").nth(1).and_then(|rest| rest.split("</title>").next());
        assert_eq!(title, Some(&*format!("probe 14 {width} []")), "{log}");
        assert!(!log.contains("CONSOLE"), "{log}");
    }
}
