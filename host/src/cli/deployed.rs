//! A board that runs an image: flashed, unless it runs it already.

use crate::ImageBuf;
use crate::device::{
    self, ConnectError, Firmware, FlashOptions, Layout, LayoutOptions, Origin, Plan, PlanOptions,
    TalkOptions, flash, talk,
};

use crate::cli::args::BoardFlags;
use crate::cli::board::{self, Board};
use crate::cli::cmd::flash::Bars;
use crate::cli::diagnostics::{self, Failure};

/// A board, and the firmware that runs on it.
pub(crate) struct Deployed {
    pub(crate) board: Board,
    pub(crate) firmware: Firmware,
}

impl Deployed {
    /// Options of talking with it.
    pub(crate) fn talk(&self) -> TalkOptions {
        TalkOptions {
            probe: self.board.probe.clone(),
            ..TalkOptions::default()
        }
    }
}

/// The board that is meant, running its firmware and `image`, with its signature; whatever image
/// it runs, if none is given.
pub(crate) fn deploy(
    flags: &BoardFlags,
    firmware: Option<&std::path::Path>,
    image: Option<&ImageBuf>,
) -> Result<Deployed, Failure> {
    let chip = board::chip(flags)?;
    let firmware = match firmware {
        Some(path) => Firmware::read(path).map_err(Failure::of)?,
        None => {
            let layout = Layout::of(&chip, &LayoutOptions::default()).map_err(Failure::of)?;
            let layout = match image {
                Some(image) => layout.built_for(&chip, &image.image()),
                None => layout,
            };
            device::application(&chip, &layout, None, Origin::default()).map_err(Failure::of)?
        }
    };
    let plan = image
        .map(|image| {
            let options = PlanOptions::default();
            Plan::new(&chip, image, Some(&firmware), &options)
        })
        .transpose()
        .map_err(Failure::of)?;
    let board = board::connect(flags, chip)?;
    let deployed = Deployed { board, firmware };
    // What an emulated board has in flash went with the last one.
    if let Some(plan) = plan
        && (flags.on.is_some() || !runs(&deployed, plan.checksum)?)
    {
        diagnostics::note(format_args!(
            "flashing {} with its firmware and the image {:08x}",
            plan.chip(),
            plan.checksum
        ));
        let options = FlashOptions {
            probe: deployed.board.probe.clone(),
            ..FlashOptions::default()
        };
        let mut bars = Bars::default();
        let flashed = flash(&plan, &options, &mut |p| bars.show(p));
        bars.clear();
        flashed.map_err(Failure::of)?;
    }
    Ok(deployed)
}

/// Tells whether a board runs an image already. Firmware that asks for signatures is not taken from it.
fn runs(deployed: &Deployed, checksum: u32) -> Result<bool, Failure> {
    let options = TalkOptions {
        timeout: std::time::Duration::from_secs(1),
        ..deployed.talk()
    };
    let (chip, firmware) = (&deployed.board.chip, &deployed.firmware);
    let found = talk(chip, Some(firmware), &options, |session| {
        // Whatever it answers, or if it does not: flashing helps.
        Ok(session.hello().ok())
    });
    let identity = match found {
        Ok(Some(identity)) => identity,
        Ok(None) | Err(ConnectError::NotThere { .. }) => return Ok(false),
        Err(error) => return Err(Failure::of(error)),
    };
    if identity.image.is_ok_and(|image| image.checksum == checksum) {
        return Ok(true);
    }
    match identity.key {
        Some(key) if firmware.key != Some(key) => Err(Failure::new(format!(
            "{} has firmware that runs only what the key {} has signed, and not this image",
            chip.name(),
            key.id()
        ))
        .hint("`tinyspike flash IMAGE --model-only` exchanges the image; without --model-only the firmware goes, too")),
        _ => Ok(false),
    }
}
