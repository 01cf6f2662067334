//! Deployments in a line.

use tinyspike::calibrate::Blocks;
use tinyspike::deploy::{DeployError, DeployOptions, Deployment, Mode};
use tinyspike::network::Network;
use tinyspike::quantize::QuantizeOptions;

/// An image for few steps, from samples or without.
///
/// # Errors
/// [`DeployError`], as [`Network::deploy`].
pub fn plain(
    network: &Network,
    data: Option<&dyn Blocks>,
    options: &QuantizeOptions,
) -> Result<Deployment, DeployError> {
    let mode = Mode::Plain(options.clone());
    let options = DeployOptions::new(&mode);
    network.deploy(&DeployOptions { data, ..options })
}

/// An image that runs the network's own steps, for inputs from 0 to 1.
///
/// # Errors
/// [`DeployError`], as [`Network::deploy`].
pub fn exact(network: &Network, options: &QuantizeOptions) -> Result<Deployment, DeployError> {
    let mode = Mode::Exact(options.clone());
    network.deploy(&DeployOptions::new(&mode))
}
