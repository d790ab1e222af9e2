//! The few SVG elements that plots are made of.

use std::fmt::Write;

/// A picture under construction; coordinates in its own units, from the top left.
pub(super) struct Svg {
    body: String,
    width: f64,
    height: f64,
}

impl Svg {
    pub(super) fn new(width: f64, height: f64) -> Self {
        Self { body: String::new(), width, height }
    }

    /// A straight line; `class` picks stroke and dashes.
    pub(super) fn line(&mut self, from: (f64, f64), to: (f64, f64), class: &str) {
        let d = format!("M{} {}L{} {}", n(from.0), n(from.1), n(to.0), n(to.1));
        self.path(&d, class);
    }

    /// A path in SVG's own notation.
    pub(super) fn path(&mut self, d: &str, class: &str) {
        let _ = write!(self.body, r#"<path class="{class}" d="{d}"/>"#);
    }

    /// A path with a stroke width of its own.
    pub(super) fn wide_path(&mut self, d: &str, class: &str, stroke_width: f64) {
        let width = n(stroke_width);
        let _ = write!(self.body, r#"<path class="{class}" style="stroke-width:{width}" d="{d}"/>"#);
    }

    /// A rectangle filled by its class.
    pub(super) fn rect(&mut self, at: (f64, f64), size: (f64, f64), class: &str) {
        let _ = write!(
            self.body,
            r#"<rect class="{class}" x="{}" y="{}" width="{}" height="{}"/>"#,
            n(at.0),
            n(at.1),
            n(size.0.max(0.0)),
            n(size.1.max(0.0))
        );
    }

    /// A rectangle of a given colour, `#rrggbb`, with a text that appears on hovering.
    pub(super) fn tile(&mut self, at: (f64, f64), size: (f64, f64), colour: &str, hint: &str) {
        let _ = write!(
            self.body,
            r#"<rect x="{}" y="{}" width="{}" height="{}" fill="{colour}">"#,
            n(at.0),
            n(at.1),
            n(size.0),
            n(size.1)
        );
        if !hint.is_empty() {
            let _ = write!(self.body, "<title>{}</title>", escape(hint));
        }
        self.body.push_str("</rect>");
    }

    /// A text; `class` picks its anchor and weight.
    pub(super) fn text(&mut self, at: (f64, f64), class: &str, text: &str) {
        let (x, y, text) = (n(at.0), n(at.1), escape(text));
        let _ = write!(self.body, r#"<text class="{class}" x="{x}" y="{y}">{text}</text>"#);
    }

    /// A text that reads upwards, centred on its point.
    pub(super) fn upward_text(&mut self, at: (f64, f64), class: &str, text: &str) {
        let (x, y, text) = (n(at.0), n(at.1), escape(text));
        let _ = write!(
            self.body,
            r#"<text class="{class}" x="{x}" y="{y}" transform="rotate(-90 {x} {y})">{text}</text>"#
        );
    }

    /// The point mark of a series: circle, square, diamond or triangle, by turns.
    pub(super) fn mark(&mut self, (x, y): (f64, f64), series: usize) {
        let d = match series % 4 {
            0 => format!("M{} {}a3.2 3.2 0 1 0 6.4 0a3.2 3.2 0 1 0-6.4 0z", n(x - 3.2), n(y)),
            1 => format!("M{} {}h5.6v5.6h-5.6z", n(x - 2.8), n(y - 2.8)),
            2 => format!("M{} {}l4 4l-4 4l-4-4z", n(x), n(y - 4.0)),
            _ => format!("M{} {}l4 7h-8z", n(x), n(y - 4.0)),
        };
        self.path(&d, &format!("f{}", series % 8));
    }

    /// The whole element, named for readers that cannot see it.
    pub(super) fn finish(self, title: &str, description: &str) -> String {
        format!(
            r#"<svg class="plot" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {} {}" role="img"><title>{}</title><desc>{}</desc>{}</svg>"#,
            n(self.width),
            n(self.height),
            escape(title),
            escape(description),
            self.body
        )
    }
}

/// A coordinate with at most one decimal.
pub(super) fn n(value: f64) -> String {
    let text = format!("{value:.1}");
    match text.strip_suffix(".0") {
        Some("-0") => "0".to_owned(),
        Some(whole) => whole.to_owned(),
        None => text,
    }
}

/// Text made safe for XML; control characters, which XML forbids, become blanks.
pub(crate) fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            c if c.is_control() => safe.push(' '),
            c => safe.push(c),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coordinates_are_short() {
        assert_eq!(n(12.0), "12");
        assert_eq!(n(12.34), "12.3");
        assert_eq!(n(-0.01), "0");
    }

    #[test]
    fn text_cannot_break_out_of_its_element() {
        assert_eq!(escape("a<b>&\"c\"\u{1}"), "a&lt;b&gt;&amp;&quot;c&quot; ");
    }
}
