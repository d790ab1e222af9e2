//! A report with its figures, written to a folder.

use std::collections::BTreeSet;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Report, figures, html};
use crate::plot::Plot;
use crate::table::Table;
use crate::{Failure, files};

/// The parts of the page, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Section {
    /// Accuracy and other results of the task.
    Results,
    /// Spikes, rates and membranes.
    Activity,
    /// How learning went.
    Learning,
    /// Energy by class, layer and core.
    Energy,
    /// Packets and link loads on the mesh.
    Network,
    /// Time per tick.
    Latency,
    /// Device curves, wear and defects.
    Device,
}

impl Section {
    /// The heading.
    pub fn title(self) -> &'static str {
        match self {
            Self::Results => "Results",
            Self::Activity => "Activity",
            Self::Learning => "Learning",
            Self::Energy => "Energy",
            Self::Network => "Traffic",
            Self::Latency => "Latency",
            Self::Device => "Devices",
        }
    }
}

/// A drawn plot with its place on the page and a sentence for the reader. Being plain
/// data, it can be kept with the results of a run that is resumed later.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// The part of the page.
    pub section: Section,
    /// The title of the plot.
    pub title: String,
    /// What the figure shows.
    pub note: String,
    /// The picture: an `<svg>` element.
    pub svg: String,
    /// The numbers behind it.
    pub table: Table,
}

impl Figure {
    /// Draws a plot.
    pub fn new(section: Section, plot: &dyn Plot, note: &str) -> Self {
        Self {
            section,
            title: plot.title().to_owned(),
            note: note.to_owned(),
            svg: plot.fragment(),
            table: plot.table(),
        }
    }
}

/// A report and what can be drawn of it.
///
/// ```
/// use synop::plot::Raster;
/// use synop::report::{Page, Report, Section};
/// let raster = Raster::new("First sample").population("hidden", 4, [(0, 1), (3, 2)]);
/// let page = Page::new(Report::new(1)).figure(Section::Activity, &raster, "Spikes of one sample.");
/// let folder = tempfile::tempdir().unwrap();
/// page.write(folder.path()).unwrap();
/// assert!(folder.path().join("report.html").exists());
/// assert!(folder.path().join("first-sample.csv").exists());
/// ```
pub struct Page {
    pub(super) report: Report,
    pub(super) figures: Vec<Figure>,
}

impl Page {
    /// A page with the figures that the report's own keys give: accuracy, accuracy against
    /// weight bits, energy by class, layer and core, other chips, latency.
    pub fn new(report: Report) -> Self {
        let figures = figures::standard(&report);
        Self { report, figures }
    }

    /// Adds a figure with a sentence that says what it shows.
    #[must_use]
    pub fn figure(mut self, section: Section, plot: &dyn Plot, note: &str) -> Self {
        self.figures.push(Figure::new(section, plot, note));
        self
    }

    /// Adds figures drawn before.
    #[must_use]
    pub fn figures(mut self, figures: impl IntoIterator<Item = Figure>) -> Self {
        self.figures.extend(figures);
        self
    }

    /// The report.
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// The page as one HTML text that needs nothing else.
    pub fn html(&self) -> String {
        html::page(self)
    }

    /// Writes `report.json`, `report.html`, `summary.csv`, `bill.csv` and one CSV table per
    /// figure. Each file appears whole; the page, which refers to the others, last.
    ///
    /// # Errors
    /// The work failed: the folder cannot be made or written to.
    pub fn write(&self, folder: &Path) -> Result<(), Failure> {
        files::write_json(&folder.join("report.json"), &self.report)?;
        files::write(&folder.join("summary.csv"), self.report.summary().csv())?;
        let bill = self.report.bill();
        if !bill.rows().is_empty() {
            files::write(&folder.join("bill.csv"), bill.csv())?;
        }
        for (name, figure) in self.file_names().iter().zip(&self.figures) {
            files::write(&folder.join(name), figure.table.csv())?;
        }
        files::write(&folder.join("report.html"), self.html())
    }

    /// The CSV file of each figure; figures of one title are numbered.
    pub(super) fn file_names(&self) -> Vec<String> {
        let mut taken = BTreeSet::from(["summary.csv".to_owned(), "bill.csv".to_owned()]);
        let mut names = Vec::new();
        for figure in &self.figures {
            let slug = slug(&figure.title);
            let mut name = format!("{slug}.csv");
            let mut number = 1;
            while !taken.insert(name.clone()) {
                number += 1;
                name = format!("{slug}-{number}.csv");
            }
            names.push(name);
        }
        names
    }
}

/// A title as a file name: lower case, words joined by hyphens.
fn slug(title: &str) -> String {
    let lower = title.to_lowercase();
    let words = lower.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let slug = words.collect::<Vec<_>>().join("-");
    if slug.is_empty() { "figure".to_owned() } else { slug }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plot::Xy;

    #[test]
    fn figures_of_one_title_get_files_of_their_own() {
        let plot = |title: &str| Xy::new(title, "x", "y").line("l", [(0.0, 1.0)]);
        let page = Page::new(Report::new(1))
            .figure(Section::Latency, &plot("Latency: per tick!"), "")
            .figure(Section::Latency, &plot("Latency per tick"), "")
            .figure(Section::Latency, &plot("Summary"), "")
            .figure(Section::Latency, &plot("δ"), "");
        assert_eq!(
            page.file_names(),
            ["latency-per-tick.csv", "latency-per-tick-2.csv", "summary-2.csv", "figure.csv"]
        );
    }
}
