//! Plots as SVG: small, deterministic, no fonts and no scripts.
//!
//! Four kinds: [`Xy`] (lines, points with intervals, columns, bands), [`Bars`]
//! (named categories, grouped or stacked), [`Heat`] (a matrix, or a mesh of cores
//! with loads on its links) and [`Raster`] (spikes). Each gives the picture and, with
//! [`Plot::table`], the numbers behind it. Colours follow the reader's light or dark
//! setting and stay apart for colour-blind readers; lines also differ in dashes and
//! points in shape. Values that are not finite are left out.
//!
//! ```
//! use synop::plot::{Plot, Xy};
//! let plot = Xy::new("Accuracy against weight bits", "weight bits", "accuracy (%)")
//!     .line("float", [(4.0, 96.5), (8.0, 96.5)])
//!     .intervals("integer", [(4.0, 95.7, 94.9, 96.4), (8.0, 96.2, 95.8, 96.6)])
//!     .y_range(90.0, 100.0);
//! assert!(plot.svg().starts_with("<svg"));
//! assert_eq!(plot.table().rows().len(), 4);
//! ```

mod bars;
mod frame;
mod heat;
mod raster;
mod scale;
mod svg;
mod xy;

pub use bars::Bars;
pub use heat::Heat;
pub use raster::Raster;
pub use xy::Xy;

use crate::table::Table;
use svg::Svg;
pub(crate) use svg::escape;

/// Something that can be drawn and that has its numbers in a table.
pub trait Plot {
    /// The title, which stands above the picture.
    fn title(&self) -> &str;

    /// The numbers behind the picture, one row per mark.
    fn table(&self) -> Table;

    /// The picture as an `<svg>` element that a page with [`STYLE`] can embed.
    fn fragment(&self) -> String;

    /// The picture as a file of its own.
    fn svg(&self) -> String {
        let fragment = self.fragment();
        match fragment.find('>') {
            Some(end) => {
                let (open, rest) = fragment.split_at(end + 1);
                format!("{open}<style>{STYLE}</style>{rest}\n")
            }
            None => fragment,
        }
    }
}

/// The style sheet of all plots: ink, paper and eight series colours, light and dark.
pub const STYLE: &str = "\
.plot{--ink:#1c1c21;--soft:#55555e;--grid:#dddde3;--paper:#ffffff;\
--s0:#0068a8;--s1:#c24a00;--s2:#00795a;--s3:#a8427f;--s4:#806600;--s5:#2e7fb8;--s6:#6b46a8;--s7:#5a5a5a;\
font:13px system-ui,-apple-system,'Segoe UI',sans-serif;background:var(--paper)}\
@media screen and (prefers-color-scheme:dark){.plot{--ink:#ececf1;--soft:#b4b4bf;--grid:#3a3a44;--paper:#17171c;\
--s0:#5ab4f0;--s1:#ff9550;--s2:#3fd6a6;--s3:#f094c6;--s4:#e3c54a;--s5:#9ad4ff;--s6:#c5aaff;--s7:#bdbdbd}}\
.plot text{fill:var(--ink);paint-order:stroke;stroke:var(--paper);stroke-width:3px;stroke-linejoin:round}.plot .t{font-weight:600;font-size:14px}.plot .k{fill:var(--soft);font-size:12px}\
.plot .e{text-anchor:end}.plot .m{text-anchor:middle}\
.plot .g{stroke:var(--grid);stroke-width:1;fill:none}.plot .a{stroke:var(--soft);stroke-width:1;fill:none}\
.plot .r{stroke:var(--soft);stroke-width:1;stroke-dasharray:2 3}\
.plot .l{fill:none;stroke-width:1.8;stroke-linejoin:round}.plot .w{fill:none;stroke-width:1.3}\
.plot .b{opacity:.22;stroke:none}\
.plot .f0{fill:var(--s0)}.plot .f1{fill:var(--s1)}.plot .f2{fill:var(--s2)}.plot .f3{fill:var(--s3)}\
.plot .f4{fill:var(--s4)}.plot .f5{fill:var(--s5)}.plot .f6{fill:var(--s6)}.plot .f7{fill:var(--s7)}\
.plot .s0{stroke:var(--s0)}.plot .s1{stroke:var(--s1)}.plot .s2{stroke:var(--s2)}.plot .s3{stroke:var(--s3)}\
.plot .s4{stroke:var(--s4)}.plot .s5{stroke:var(--s5)}.plot .s6{stroke:var(--s6)}.plot .s7{stroke:var(--s7)}\
.plot .d1{stroke-dasharray:7 3}.plot .d2{stroke-dasharray:2 2.5}.plot .d3{stroke-dasharray:8 3 2 3}";

/// Width of every picture in its own units; pages scale it to the column.
const WIDTH: f64 = 520.0;

/// Height of one line of text.
const LINE: f64 = 16.0;

/// An estimate of the width of a text at 13 pixels, on the safe side for prose.
fn text_width(text: &str) -> f64 {
    7.0 * text.chars().count() as f64
}

/// The first characters of a text that fit a width, with an ellipsis when cut.
fn fitted(text: &str, width: f64) -> String {
    let room = (width / 7.0).max(2.0) as usize;
    if text.chars().count() <= room {
        return text.to_owned();
    }
    let mut cut: String = text.chars().take(room - 1).collect();
    cut.push('…');
    cut
}
