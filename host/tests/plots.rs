//! Every kind of plot draws, as well-formed XML, whatever the values.

use proptest::prelude::*;
use synop::plot::{Bars, Heat, Plot, Raster, Xy};

/// Checks that tags nest, quotes close and text holds no bare marks.
fn assert_well_formed(svg: &str) {
    let mut open = Vec::new();
    let mut rest = svg.trim_end();
    while let Some(start) = rest.find('<') {
        assert!(!rest[..start].contains('>'), "bare > in {svg}");
        let end = start + rest[start..].find('>').expect("an unclosed tag");
        let tag = &rest[start + 1..end];
        assert_eq!(tag.matches('"').count() % 2, 0, "an open quote in <{tag}>");
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name.to_owned()), "nesting at <{tag}>");
        } else if !tag.ends_with('/') {
            open.push(tag.split(' ').next().unwrap().to_owned());
        }
        rest = &rest[end + 1..];
    }
    assert!(open.is_empty() && rest.is_empty(), "unclosed: {open:?}");
    assert!(!svg.contains("NaN") && !svg.contains("inf"), "a number that is none: {svg}");
}

fn value() -> impl Strategy<Value = f64> {
    prop_oneof![
        4 => -1e3..1e3f64,
        1 => any::<f64>(),
        1 => Just(0.0),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_values_draw(
        points in prop::collection::vec((value(), value(), value(), value()), 0..20),
        log in any::<(bool, bool)>(),
        name in ".{0,40}",
    ) {
        let pairs: Vec<_> = points.iter().map(|p| (p.0, p.1)).collect();
        let mut plot = Xy::new(&name, "time (ms)", "value")
            .line(&name, pairs.clone())
            .points("p", pairs.clone())
            .columns("c", pairs)
            .band("b", points.iter().map(|p| (p.0, p.2, p.3)))
            .intervals("i", points.clone())
            .mark_x("here", 1.0)
            .mark_y("there", 2.0);
        if log.0 { plot = plot.log_x(); }
        if log.1 { plot = plot.log_y(); }
        assert_well_formed(&plot.svg());

        let mut bars = Bars::new(&name, "energy (J)", &["one", "two"]);
        for point in &points {
            bars = bars.row_with_interval(&name, &[(point.0, point.1, point.2), (point.3, 0.0, 1.0)]);
        }
        assert_well_formed(&bars.clone().svg());
        assert_well_formed(&bars.clone().log().svg());
        assert_well_formed(&bars.stacked().svg());

        let values: Vec<_> = points.iter().flat_map(|p| [p.0, p.1, p.2]).collect();
        let heat = Heat::new(&name, "x", "y", "value", 4, values).link((0, 0), (1, 0), 3.0).link((9, 9), (0, 0), 1.0);
        assert_well_formed(&heat.svg());
    }

    #[test]
    fn any_spikes_draw(spikes in prop::collection::vec((any::<u64>(), any::<u32>()), 0..50), neurons in any::<u32>()) {
        assert_well_formed(&Raster::new("r").population("p", neurons, spikes).svg());
    }
}
