//! The pole on a cart (Barto, Sutton and Anderson 1983) with the constants of CartPole-v1.

use rand_core::SeedableRng;
use rand_xoshiro::Xoshiro256PlusPlus;

use crate::train::unit;

/// Most steps of an episode.
pub const MOST_STEPS: usize = 500;

const GRAVITY: f64 = 9.8;
const CART: f64 = 1.0;
const POLE: f64 = 0.1;
/// Half of the pole's length.
const LENGTH: f64 = 0.5;
const FORCE: f64 = 10.0;
const STEP: f64 = 0.02;
const FAR: f64 = 2.4;
const TILTED: f64 = 12.0 * 2.0 * std::f64::consts::PI / 360.0;

/// Position, speed, angle and angular speed; one reward per step.
#[derive(Debug, Clone)]
pub struct CartPole {
    /// Position in m, speed in m/s, angle in rad, angular speed in rad/s.
    pub state: [f64; 4],
    steps: usize,
    random: Xoshiro256PlusPlus,
}

impl CartPole {
    /// At the start of an episode.
    pub fn new(seed: u64) -> Self {
        let mut new =
            Self { state: [0.0; 4], steps: 0, random: Xoshiro256PlusPlus::seed_from_u64(seed ^ 0xca47_901e) };
        new.restart();
        new
    }

    /// Starts an episode: every number uniform in ±0.05.
    pub fn restart(&mut self) {
        self.steps = 0;
        for value in &mut self.state {
            *value = 0.1 * f64::from(unit(&mut self.random)) - 0.05;
        }
    }

    /// Pushes to the right or left for one step of 0.02 s (Euler); true while the episode goes on.
    pub fn push(&mut self, right: bool) -> bool {
        let [x, speed, angle, turn] = self.state;
        let force = if right { FORCE } else { -FORCE };
        let (sin, cos) = angle.sin_cos();
        let total = CART + POLE;
        let push = (force + POLE * LENGTH * turn * turn * sin) / total;
        let turning = (GRAVITY * sin - cos * push) / (LENGTH * (4.0 / 3.0 - POLE * cos * cos / total));
        let speeding = push - POLE * LENGTH * turning * cos / total;
        self.state = [x + STEP * speed, speed + STEP * speeding, angle + STEP * turn, turn + STEP * turning];
        self.steps += 1;
        self.state[0].abs() <= FAR && self.state[2].abs() <= TILTED && self.steps < MOST_STEPS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_push_to_the_right_from_rest_moves_the_cart_right_and_tips_the_pole_left() {
        let mut cart = CartPole::new(1);
        assert!(cart.state.iter().all(|v| v.abs() <= 0.05));
        cart.state = [0.0; 4];
        assert!(cart.push(true));
        // by hand: push = 10/1.1, turning = −push/(0.5·(4/3 − 0.1/1.1)), speeding = push − 0.05·turning/1.1
        let push = 10.0 / 1.1;
        let turning = -push / (0.5 * (4.0 / 3.0 - 0.1 / 1.1));
        assert!((cart.state[1] - 0.02 * (push - 0.05 * turning / 1.1)).abs() < 1e-12);
        assert!((cart.state[3] - 0.02 * turning).abs() < 1e-12);
        assert_eq!((cart.state[0], cart.state[2]), (0.0, 0.0));
    }

    #[test]
    fn pushing_one_way_ends_after_a_few_steps_and_a_simple_law_balances() {
        let mut cart = CartPole::new(2);
        let mut steps = 1;
        while cart.push(true) {
            steps += 1;
        }
        assert!((5..30).contains(&steps), "{steps}");
        cart.restart();
        let mut steps = 1;
        loop {
            let [x, v, a, w] = cart.state;
            if !cart.push(0.1 * x + 0.3 * v + 10.0 * a + 2.0 * w > 0.0) {
                break;
            }
            steps += 1;
        }
        assert_eq!(steps, MOST_STEPS);
    }
}
