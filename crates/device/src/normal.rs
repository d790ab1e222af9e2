//! The normal distribution, for the core's table of deviates.

/// The standard normal deviate below which a share `p` of all lies, 0 < p < 1; relative error below 1e-15
/// (Wichura 1988, algorithm AS 241, PPND16).
pub fn quantile(p: f64) -> f64 {
    let centre = p - 0.5;
    if centre.abs() <= 0.425 {
        let r = 0.180625 - centre * centre;
        return centre * ratio(&CENTRE, r);
    }
    let tail = if centre < 0.0 { p } else { 1.0 - p };
    let r = (-tail.ln()).sqrt();
    let value = if r <= 5.0 { ratio(&MIDDLE, r - 1.6) } else { ratio(&FAR, r - 5.0) };
    value.copysign(centre)
}

fn ratio((above, below): &([f64; 8], [f64; 8]), r: f64) -> f64 {
    let polynomial = |c: &[f64; 8]| c.iter().rev().fold(0.0, |sum, c| sum * r + c);
    polynomial(above) / polynomial(below)
}

const CENTRE: ([f64; 8], [f64; 8]) = (
    [
        3.387_132_872_796_366_5,
        1.331_416_678_917_843_8e2,
        1.971_590_950_306_551_3e3,
        1.373_169_376_550_946e4,
        4.592_195_393_154_987e4,
        6.726_577_092_700_87e4,
        3.343_057_558_358_813e4,
        2.509_080_928_730_122_7e3,
    ],
    [
        1.0,
        4.231_333_070_160_091e1,
        6.871_870_074_920_579e2,
        5.394_196_021_424_751e3,
        2.121_379_430_158_659_7e4,
        3.930_789_580_009_271e4,
        2.872_908_573_572_194_3e4,
        5.226_495_278_852_854e3,
    ],
);

const MIDDLE: ([f64; 8], [f64; 8]) = (
    [
        1.423_437_110_749_683_5,
        4.630_337_846_156_546,
        5.769_497_221_460_691,
        3.647_848_324_763_204_5,
        1.270_458_252_452_368_4,
        2.417_807_251_774_506e-1,
        2.272_384_498_926_918_4e-2,
        7.745_450_142_783_414e-4,
    ],
    [
        1.0,
        2.053_191_626_637_759,
        1.676_384_830_183_803_8,
        6.897_673_349_851e-1,
        1.481_039_764_274_800_8e-1,
        1.519_866_656_361_645_7e-2,
        5.475_938_084_995_345e-4,
        1.050_750_071_644_416_9e-9,
    ],
);

const FAR: ([f64; 8], [f64; 8]) = (
    [
        6.657_904_643_501_103,
        5.463_784_911_164_114,
        1.784_826_539_917_291_3,
        2.965_605_718_285_048_7e-1,
        2.653_218_952_657_612_4e-2,
        1.242_660_947_388_078_4e-3,
        2.711_555_568_743_487_6e-5,
        2.010_334_399_292_288_1e-7,
    ],
    [
        1.0,
        5.998_322_065_558_88e-1,
        1.369_298_809_227_358e-1,
        1.487_536_129_085_061_5e-2,
        7.868_691_311_456_133e-4,
        1.846_318_317_510_054_8e-5,
        1.421_511_758_316_446e-7,
        2.044_263_103_389_939_8e-15,
    ],
);

/// The 256 deviates (Q7) at the centres of equal probability, scaled to unit variance.
pub fn deviates_q7() -> [i16; 256] {
    let raw: Vec<f64> = (0..256).map(|i| quantile((f64::from(i) + 0.5) / 256.0)).collect();
    let variance = raw.iter().map(|x| x * x).sum::<f64>() / 256.0;
    std::array::from_fn(|i| (raw[i] / variance.sqrt() * 128.0).round() as i16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_the_tables() {
        for (p, x) in
            [(0.5, 0.0), (0.975, 1.959963984540054), (0.001, -3.090232306167813), (1e-10, -6.361340902404056)]
        {
            assert!((quantile(p) - x).abs() < 1e-12, "{p}: {} instead of {x}", quantile(p));
        }
    }

    #[test]
    fn the_cores_deviates_are_recomputed() {
        assert_eq!(deviates_q7(), synop_core::device::NORMAL);
    }

    #[test]
    fn the_cores_logarithm_and_exponential_are_recomputed() {
        for i in 0..=32usize {
            let x = i as f64 / 32.0;
            assert_eq!(f64::from(synop_core::device::LOG2_Q16[i]), ((1.0 + x).log2() * 65536.0).round());
            assert_eq!(f64::from(synop_core::device::EXP2_Q30[i]), ((-x).exp2() * 2f64.powi(30)).round());
        }
    }
}
