//! Small landscapes, from features to bills.

use super::*;

fn small_plan(methods: &[Method]) -> Plan {
    Plan {
        damping: vec![-1.5, 2.0],
        trained: vec![vec![-1.5], vec![2.0]],
        first_seed: 1,
        seeds: 1,
        methods: methods.to_vec(),
        recipe: Recipe { hidden: 32, epochs: 12, learning_rate: 4e-3, patience: 12, ..Recipe::reduced() },
        local: Local::default(),
        limit: Some(8.0),
        switch: true,
        flips: vec![0.0, 0.5],
        tmax: 8.0,
        steps: 5,
    }
}

#[test]
fn a_small_landscape_learns_resumes_and_does_not_depend_on_threads() {
    let mut features = Set::Digits.load(std::path::Path::new("."), 800, 200).unwrap();
    features.scale = 16.0;
    features.others = vec![
        ("the same".to_owned(), features.test.clone()),
        ("nothing".to_owned(), vec![0.0; features.test.len()]),
    ];
    let plan = small_plan(&[Method::Float, Method::Int8]);
    let chip = synop_cost::shipped::load("loihi1-published").unwrap();
    let run = |known: Vec<Point>, threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| plan.run(&features, &chip, known, |_| Ok(()))).unwrap()
    };
    let points = run(Vec::new(), 2);
    assert_eq!(points.len(), plan.points());
    for point in &points {
        let behaviour = point.behaviour();
        assert!(behaviour.accuracy > 0.5, "{point:?}");
        assert_eq!(point.switched.len(), 2);
        let own = point.switched.iter().find(|s| s.damping == point.trained[0]).unwrap();
        // Shares of the same samples, divided in another order.
        assert!((own.accuracy - behaviour.accuracy).abs() < 1e-12, "{point:?}");
        assert!((point.flips[0].1 - point.twin.accuracy).abs() < 1e-12, "{point:?}");
        let [same, nothing] = point.elsewhere.as_slice() else { panic!("two: {point:?}") };
        assert_eq!(same.kept, point.twin);
        assert!((same.last.accuracy - point.course.last_accuracy).abs() < 1e-12);
        assert!(nothing.kept.accuracy < 0.3);
        if let Some(machine) = &point.machine {
            assert!(machine.agreement > 0.97, "{}", machine.agreement);
            assert!((machine.behaviour.spikes / point.twin.spikes - 1.0).abs() < 0.02);
            assert!(machine.prices.values().any(|price| price.energy_j.is_some()));
        }
    }
    assert_eq!(run(points[..1].to_vec(), 1), points);
}
