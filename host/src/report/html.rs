//! The report as one HTML page: no script, no font, nothing from elsewhere.

use std::fmt::Write;

use serde_json::Value;

use super::Report;
use super::page::{Figure, Page, Section};
use crate::plot::{self, escape};

/// Rows of a table behind a figure; the CSV file has them all.
const MOST_ROWS: usize = 200;

const STYLE: &str = "\
:root{color-scheme:light dark;--ink:#1c1c21;--soft:#55555e;--rule:#dddde3;--paper:#fff;--note:#f4f4f7;--warn:#fff4d6;--edge:#a86b00;--link:#0058a3}\
@media screen and (prefers-color-scheme:dark){:root{--ink:#ececf1;--soft:#b4b4bf;--rule:#3a3a44;--paper:#17171c;--note:#212129;--warn:#3a2f12;--edge:#e3b84a;--link:#8cc8ff}}\
*{box-sizing:border-box}\
body{margin:0 auto;padding:1rem;max-width:76rem;font:16px/1.5 system-ui,-apple-system,'Segoe UI',sans-serif;color:var(--ink);background:var(--paper)}\
h1{font-size:1.5rem;margin:.3rem 0}h2{font-size:1.2rem;margin:2rem 0 .5rem;border-bottom:1px solid var(--rule);padding-bottom:.2rem}\
p.what{color:var(--soft);margin:.2rem 0}a{color:var(--link)}code{font-size:.92em;overflow-wrap:anywhere}\
.warnings{background:var(--warn);border-left:4px solid var(--edge);padding:.6rem 1rem;margin:1rem 0}\
.warnings ul{margin:.3rem 0;padding-left:1.2rem}\
.figures{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,27rem),1fr));gap:1.5rem}\
figure{margin:0;max-width:40rem;break-inside:avoid}h3{font-size:1rem;margin:1rem 0 .2rem}figure svg{width:100%;height:auto;display:block}\
figcaption,.more{color:var(--soft);font-size:.88rem;margin:.2rem 0}\
.scroll{overflow-x:auto}table{border-collapse:collapse;font-size:.88rem;font-variant-numeric:tabular-nums}\
th,td{padding:.25rem .7rem .25rem 0;border-bottom:1px solid var(--rule);text-align:left;vertical-align:top}\
th.n,td.n{text-align:right}th{color:var(--soft);font-weight:600}\
details{margin:.3rem 0}summary{cursor:pointer;color:var(--link);font-size:.88rem}details .scroll{max-height:22rem;overflow:auto}\
dl{display:grid;grid-template-columns:minmax(7rem,max-content) 1fr;gap:.15rem 1rem;margin:.5rem 0}dt{color:var(--soft)}dd{margin:0;overflow-wrap:anywhere}\
@media print{body{font-size:11pt;max-width:none}details,a.file{display:none}.figures{grid-template-columns:1fr 1fr}}\
@media(max-width:30rem){dl{grid-template-columns:1fr}dt{margin-top:.4rem}}";

pub(super) fn page(page: &Page) -> String {
    let report = &page.report;
    let title = match report.name().as_str() {
        "run" => "synop".to_owned(),
        name => format!("synop: {name}"),
    };
    let mut html = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <link rel=\"icon\" href=\"data:,\"><title>{title}</title>\
         <style>{STYLE}{plots}</style></head>\n<body>\n<h1>{title}</h1>\n",
        title = escape(&title),
        plots = plot::STYLE,
    );
    head_line(&mut html, report);
    warnings(&mut html, report);
    html.push_str("<h2>Summary</h2>\n");
    table(&mut html, &report.summary(), "summary.csv");
    assumptions(&mut html, report);
    let names = page.file_names();
    let mut sections: Vec<Section> = page.figures.iter().map(|figure| figure.section).collect();
    let bill = report.bill();
    if !bill.rows().is_empty() {
        sections.push(Section::Energy);
    }
    sections.sort();
    sections.dedup();
    for section in sections {
        let _ = writeln!(html, "<h2>{}</h2>", section.title());
        let figures: Vec<_> = page.figures.iter().zip(&names).filter(|(f, _)| f.section == section).collect();
        if !figures.is_empty() {
            html.push_str("<div class=\"figures\">\n");
            for (shown, file) in figures {
                figure(&mut html, shown, file);
            }
            html.push_str("</div>\n");
        }
        if section == Section::Energy && !bill.rows().is_empty() {
            html.push_str("<h3>Bill</h3>\n");
            table(&mut html, &bill, "bill.csv");
            sources(&mut html, report);
        }
    }
    html.push_str("</body></html>\n");
    html
}

fn head_line(html: &mut String, report: &Report) {
    let _ = write!(html, "<p class=\"what\">synop {}, seed {}", escape(&report.tool.version), report.seed);
    if !report.command.is_empty() {
        let _ = write!(html, ", <code>synop {}</code>", escape(&report.command));
    }
    html.push_str("; every number is in <a class=\"file\" href=\"report.json\">report.json</a></p>\n");
}

fn warnings(html: &mut String, report: &Report) {
    let warnings = report.all_warnings();
    if warnings.is_empty() {
        return;
    }
    html.push_str("<div class=\"warnings\" role=\"note\"><strong>Read this first</strong><ul>");
    for warning in warnings {
        let _ = write!(html, "<li>{}</li>", escape(&warning));
    }
    html.push_str("</ul></div>\n");
}

/// What ran and what was assumed: first what all runs share, then what sets each apart.
fn assumptions(html: &mut String, report: &Report) {
    let mut common = facts(report);
    let runs: Vec<_> = report.runs.iter().map(|run| (&run.label, facts(run))).collect();
    if let Some((_, first)) = runs.first() {
        let everywhere = |fact: &&Fact| runs.iter().all(|(_, facts)| facts.contains(fact));
        common.extend(first.iter().filter(everywhere).cloned());
    }
    let apart: Vec<_> = runs
        .iter()
        .map(|(label, facts)| {
            let own = facts.iter().filter(|fact| !common.contains(fact)).cloned();
            (label, own.collect::<Vec<_>>())
        })
        .filter(|(_, facts)| !facts.is_empty())
        .collect();
    if common.is_empty() && apart.is_empty() {
        return;
    }
    html.push_str("<h2>What ran, and what was assumed</h2>\n");
    list(html, &common);
    for (label, facts) in apart {
        let _ = writeln!(html, "<h3>{}</h3>", escape(label));
        list(html, &facts);
    }
}

/// A name and what holds for it.
type Fact = (String, String);

fn list(html: &mut String, facts: &[Fact]) {
    html.push_str("<dl>");
    for (name, value) in facts {
        let (name, value) = (escape(name), escape(value));
        let _ = write!(html, "<dt>{name}</dt><dd>{value}</dd>");
    }
    html.push_str("</dl>\n");
}

fn facts(run: &Report) -> Vec<Fact> {
    let mut facts = Vec::new();
    if let Some(image) = &run.image {
        facts.push(("image".to_owned(), format!("sha256 {}", image.sha256)));
        if let Some(initial) = &image.initial_sha256 {
            facts.push(("untrained image".to_owned(), format!("sha256 {initial}")));
        }
        facts.push(("weight bits".to_owned(), image.weight_bits.to_string()));
    }
    if let Some(task) = &run.task {
        facts.push(("held-out samples".to_owned(), task.samples.to_string()));
        if let Some(train) = task.train_samples {
            facts.push(("training samples".to_owned(), train.to_string()));
        }
    }
    if let Some(bill) = &run.energy {
        facts.push(("chip".to_owned(), bill.chip.clone()));
    }
    if let Some(latency) = &run.latency {
        facts.push(("latency model".to_owned(), latency.model.clone()));
    }
    for (name, value) in &run.profile {
        let value = match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        facts.push((name.replace('_', " "), value));
    }
    facts
}

fn figure(html: &mut String, figure: &Figure, file: &str) {
    let _ = writeln!(
        html,
        "<figure>{}<figcaption>{}</figcaption>\
         <details><summary>Table</summary><div class=\"scroll\" tabindex=\"0\">{}</div>\
         <a class=\"file\" href=\"{file}\">{file}</a></details></figure>",
        figure.svg,
        escape(&figure.note),
        figure.table.html(MOST_ROWS),
    );
}

fn table(html: &mut String, table: &crate::table::Table, file: &str) {
    let _ = writeln!(
        html,
        "<div class=\"scroll\" tabindex=\"0\">{}</div><a class=\"file\" href=\"{file}\">{file}</a>",
        table.html(MOST_ROWS)
    );
}

/// Where every price is from, once.
fn sources(html: &mut String, report: &Report) {
    let bills = report.each_run().iter().filter_map(|run| run.energy.as_ref());
    let mut sources: Vec<Fact> = bills
        .flat_map(|bill| {
            bill.lines
                .iter()
                .filter(|line| !line.source.is_empty())
                .map(|line| (format!("{}: {}", bill.chip, line.class), line.source.clone()))
        })
        .collect();
    sources.sort();
    sources.dedup();
    if sources.is_empty() {
        return;
    }
    html.push_str("<h3>Where the prices are from</h3>");
    list(html, &sources);
}
