//! The network that a command names: a NIR file under a profile, or an image.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};
use synop_model::image::Blob;
use synop_model::lower::FloatNetwork;
use synop_model::nir::{FlatGraph, Graph, Limits, NirError};
use synop_model::origin;
use synop_model::profile::{self, Profile};
use synop_model::quantize::{self, Options, Quantized};

use crate::input::{Inputs, Port};
use crate::{Failure, files, oracle};

/// What a NIR file leaves open.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Profile (what a NIR file leaves open)")]
pub struct ProfileArgs {
    /// Convention to start from [default: nir-euler, NIR taken literally]
    #[arg(long, value_name = "NAME", value_parser = clap::builder::PossibleValuesParser::new(profile::NAMES))]
    pub profile: Option<String>,
    /// Step, in the unit of the file's time constants
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub dt: Option<String>,
    /// Rule of leaky neurons
    #[arg(long, value_name = "RULE", value_parser = ["euler", "exact", "jump_exp"])]
    pub integrator: Option<String>,
    /// Rule of current-based neurons
    #[arg(long, value_name = "RULE", value_parser = ["euler_new", "euler_old", "jump_then_decay_euler", "snn_zero", "jump_exp", "exact"])]
    pub cuba: Option<String>,
    /// What a spike does to the membrane
    #[arg(long, value_name = "KIND", value_parser = ["value", "subtract", "none"])]
    pub reset: Option<String>,
    /// When it does so
    #[arg(long, value_name = "TIME", value_parser = ["now", "next", "snn_nodelay"])]
    pub reset_when: Option<String>,
    /// Spike above the threshold (gt) or from it on (ge)
    #[arg(long, value_name = "OP", value_parser = ["gt", "ge"])]
    pub compare: Option<String>,
    /// Several spikes in a step
    #[arg(long, value_name = "YES", value_parser = ["true", "false"], num_args = 0..=1, default_missing_value = "true")]
    pub multi_spike: Option<String>,
    /// Gain of integrators
    #[arg(long, value_name = "GAIN", value_parser = ["r*dt", "r"])]
    pub if_gain: Option<String>,
    /// Lower clamp of the membrane, or none
    #[arg(long, value_name = "V", allow_hyphen_values = true)]
    pub min_v: Option<String>,
    /// What an edge that closes a cycle delivers in the first step
    #[arg(long, value_name = "WHAT", value_parser = ["none", "bias"])]
    pub recurrent_t0: Option<String>,
}

impl ProfileArgs {
    /// The profile, with its overrides.
    ///
    /// # Errors
    /// Bad use: a value that its key does not take.
    pub fn profile(&self) -> Result<Profile, Failure> {
        let refused = |error: profile::ProfileError| Failure::bad_input(error).place("--profile");
        let mut profile = Profile::named(self.profile.as_deref().unwrap_or("nir-euler")).map_err(refused)?;
        for (key, value) in self.overrides() {
            profile.set(key, value).map_err(|error| {
                Failure::bad_input(error).place(format_args!("--{}", key.replace('_', "-")))
            })?;
        }
        Ok(profile)
    }

    fn overrides(&self) -> Vec<(&'static str, &str)> {
        let all = [
            ("dt", &self.dt),
            ("lif", &self.integrator),
            ("cuba", &self.cuba),
            ("reset", &self.reset),
            ("reset_when", &self.reset_when),
            ("compare", &self.compare),
            ("multi_spike", &self.multi_spike),
            ("if_gain", &self.if_gain),
            ("min_v", &self.min_v),
            ("recurrent_t0", &self.recurrent_t0),
        ];
        all.into_iter().filter_map(|(key, value)| Some((key, value.as_deref()?))).collect()
    }

    /// Whether anything was asked for.
    pub fn is_given(&self) -> bool {
        self.profile.is_some() || !self.overrides().is_empty()
    }
}

/// How weights become integers.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Quantiser")]
pub struct QuantizeArgs {
    /// One unit per output channel instead of one per population
    #[arg(long)]
    pub per_channel: bool,
    /// Keep the largest weights only as far as that makes the error of the neurons' drive on the given input
    /// less (without input: the error of the weights) instead of keeping all
    #[arg(long)]
    pub clip: bool,
    /// Bits of a decay's fraction
    #[arg(long, default_value_t = 15, value_name = "N")]
    pub decay_bits: u32,
    /// A membrane unit is a weight unit times 2^-N
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub input_shift: u32,
    /// Bits of a membrane; leaving its range saturates and is counted
    #[arg(long, default_value_t = 31, value_name = "N")]
    pub state_bits: u32,
}

impl QuantizeArgs {
    /// What data say to the quantiser: the scale of the inputs and, where weights may be clipped, what each
    /// neuron of the float twin says on the first [`CALIBRATION`] samples.
    ///
    /// # Errors
    /// Bad input: a sample cannot be made or does not fit the network.
    pub fn calibrate(&self, network: &NirNetwork, inputs: Option<&Inputs>) -> Result<Calibration, Failure> {
        let mut options = Options {
            per_channel: self.per_channel,
            clip: self.clip,
            decay_bits: self.decay_bits,
            input_shift: self.input_shift,
            state_bits: self.state_bits,
            ..Options::bits(8)
        };
        if let Some(inputs) = inputs {
            let (largest, whole) = inputs.range()?;
            let probe = [largest, if whole { 0.0 } else { 0.5f64.min(largest / 2.0) }];
            options.calibrate_inputs([probe.as_slice()]);
            if self.clip {
                options.activity = oracle::activity(network, inputs, CALIBRATION)?;
            }
        }
        Ok(Calibration(options))
    }
}

/// Samples of the input that calibrate clipped weights.
pub const CALIBRATION: usize = 100;

/// The quantiser's options but for the bits of a weight.
#[derive(Debug, Clone)]
pub struct Calibration(Options);

impl Calibration {
    /// The options of a width.
    pub fn options(&self, bits: u32) -> Options {
        Options { bits, ..self.0.clone() }
    }
}

/// What the first argument of a command named.
#[derive(Debug)]
pub enum Network {
    /// A NIR file.
    Nir(Box<NirNetwork>),
    /// An image.
    Image(Blob),
}

/// A NIR file under a profile.
#[derive(Debug)]
pub struct NirNetwork {
    /// Where it stands.
    pub path: PathBuf,
    /// As read.
    pub graph: Graph,
    /// Without nesting.
    pub flat: FlatGraph,
    /// What the file leaves open.
    pub profile: Profile,
    /// Populations and synapses in floats.
    pub float: FloatNetwork,
    /// What the user should look at.
    pub warnings: Vec<String>,
}

/// Whether bytes begin as an image does.
pub fn is_image(bytes: &[u8]) -> bool {
    bytes.starts_with(&synop_core::image::MAGIC)
}

/// Whether bytes begin as an HDF5 file does.
pub fn is_hdf5(bytes: &[u8]) -> bool {
    bytes.starts_with(b"\x89HDF")
}

impl Network {
    /// Opens a file, known by its content.
    ///
    /// # Errors
    /// Bad input: it is neither a NIR file nor an image, or it is a broken one.
    pub fn open(path: &Path, profile: &ProfileArgs) -> Result<Self, Failure> {
        let bytes = files::read(path)?;
        if is_image(&bytes) {
            if profile.is_given() {
                return Err(Failure::bad_input("an image has its profile in it")
                    .file(path)
                    .place("--profile")
                    .mend("leave the profile out, or name the NIR file"));
            }
            return Ok(Self::Image(open_image(path, &bytes)?));
        }
        Ok(Self::Nir(Box::new(NirNetwork::of(path, bytes, profile)?)))
    }
}

/// Checks an image.
///
/// # Errors
/// Bad input: the image is damaged or of another version.
pub fn open_image(path: &Path, bytes: &[u8]) -> Result<Blob, Failure> {
    let blob = Blob::new(bytes);
    match blob.image() {
        Ok(_) => Ok(blob),
        Err(error) => Err(Failure::bad_input(error)
            .file(path)
            .found("a damaged image, or one of another version")
            .expected("an image that this version wrote")
            .mend("write it again with synop compile")),
    }
}

/// Whether the bytes can be a NIR file at all; a user block of a multiple of 512 bytes may stand before it.
///
/// # Errors
/// Bad input: there is no HDF5 signature.
pub fn check_hdf5(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    if is_hdf5(bytes) || bytes.windows(4).take(1 << 16).step_by(512).any(is_hdf5) {
        return Ok(());
    }
    let start: String = String::from_utf8_lossy(bytes.get(..16).unwrap_or(bytes)).escape_debug().collect();
    Err(Failure::bad_input("not a network")
        .file(path)
        .found(format_args!("{} bytes that begin `{start}`", bytes.len()))
        .expected("a NIR file (HDF5), or an image of synop compile")
        .mend("export the network with nir.write(path, graph)"))
}

/// The failure for a NIR file.
pub fn refused(path: &Path, error: &NirError) -> Failure {
    let failure = Failure::bad_input(error).file(path);
    match error {
        NirError::Container { .. } => failure
            .expected("a NIR file (HDF5), or an image of synop compile")
            .mend("export it again with nir.write(path, graph)"),
        NirError::Missing { .. } | NirError::Dangling { .. } => {
            failure.mend("a failed nir.write leaves such files behind: export the network again")
        }
        NirError::UnknownType { .. } => {
            failure.mend("replace the node by those that NIR has, and export again")
        }
        NirError::Limit { .. } => failure.mend("check that the file is what you meant"),
        _ => failure,
    }
}

impl NirNetwork {
    fn of(path: &Path, bytes: Vec<u8>, args: &ProfileArgs) -> Result<Self, Failure> {
        check_hdf5(path, &bytes)?;
        let graph = Graph::from_bytes(bytes, Limits::default()).map_err(|error| refused(path, &error))?;
        let flat = graph.flatten().map_err(|error| refused(path, &error))?;
        let needs_step = flat.nodes.iter().any(|(_, n)| n.is_neuron());
        let mut profile = args.profile()?;
        if needs_step {
            profile = profile.with_dt_of(&flat).map_err(|error| {
                Failure::bad_input(error)
                    .file(path)
                    .mend("add --dt, or a profile that has a step (--profile)")
            })?;
        }
        let float = FloatNetwork::of(&flat, &profile).map_err(|error| {
            Failure::bad_input(error).file(path).mend("see synop inspect for the nodes and their shapes")
        })?;
        let mut warnings = profile.warnings(&flat);
        if args.profile.is_none()
            && let Some(likely) = origin::origins(&graph).first().filter(|o| o.profile != profile.name)
        {
            warnings.push(format!(
                "the file looks as if {} wrote it ({}), whose reset and step may differ from NIR taken literally: \
                 try --profile {}; `synop inspect {}` says more",
                likely.framework,
                likely.why,
                likely.profile,
                path.display()
            ));
        }
        Ok(Self { path: path.to_owned(), graph, flat, profile, float, warnings })
    }

    /// The Inputs, in the order of the populations.
    pub fn ports(&self) -> Vec<Port> {
        let inputs = self.float.populations.iter().filter(|p| p.dynamics.is_none());
        inputs.map(|p| Port { name: p.name.clone(), shape: p.shape.clone() }).collect()
    }

    /// The profile as the report and the image keep it.
    pub fn profile_entries(&self) -> Map<String, Value> {
        let mut entries: Map<String, Value> = Map::new();
        for (key, value) in self.profile.entries() {
            let number = value.parse::<f64>().ok().filter(|_| ["dt", "min_v"].contains(&key));
            entries.insert(key.to_owned(), number.map_or_else(|| json!(value), |n| json!(n)));
        }
        entries.insert("assumptions".into(), json!(self.profile.assumptions(&self.flat)));
        let notes: Vec<&String> = self.graph.notes.iter().chain(&self.float.notes).collect();
        if !notes.is_empty() {
            entries.insert("notes".into(), json!(notes));
        }
        entries
    }

    /// The integer network; its `meta` holds all that a run of the image needs to know.
    ///
    /// # Errors
    /// Bad input: an option, or a population that has no integers.
    pub fn quantize(&self, options: &Options) -> Result<Quantized, Failure> {
        let mut made = quantize::quantize(&self.float, options)
            .map_err(|error| Failure::bad_input(error).file(&self.path))?;
        made.network.meta = json!({
            "bits": options.bits,
            "per_channel": options.per_channel,
            "input_shift": options.input_shift,
            "decay_bits": options.decay_bits,
            "input_scale": options.input_scale,
            "inputs": self.ports(),
            "readouts": self.float.readouts,
            "readout_units": self.float.readouts.iter().map(|p| made.units.get(*p)).collect::<Vec<_>>(),
            "profile": self.profile_entries(),
        });
        Ok(made)
    }
}
