"""Which registration results are of, on which seeds, and whether the study is still what was registered."""

from __future__ import annotations

from typing import Any

from claimcheck.errors import ClaimcheckError
from claimcheck.results import digests
from claimcheck.results.commands import register_command
from claimcheck.spec.config import Config, PilotConfig
from claimcheck.spec.models import Study
from claimcheck.streams import POWER_SEED


def first_seed_of(study: Study, config: Config) -> int:
    """The first seed of a run: of the registered block, of a later one, or of the pilots for power."""
    return POWER_SEED if isinstance(config, PilotConfig) else study.first_seed(config.registration_offset)


def registration_facts(study: Study, config: Config) -> dict[str, Any]:
    """Which registration the verdicts are of; a draft has none.

    `seeds`: how many a user asked for in place of the number that is part of the design; None where nobody did.
    """
    registration = study.registration
    return {
        "number": registration.number if registration else None,
        "of": len(study.registrations),
        "offset": config.registration_offset,
        "first_seed": first_seed_of(study, config),
        "seeds": config.seeds,
    }


def check_registration(study: Study, config: Config) -> None:
    """Refuse to judge what is not what was registered.

    Raises:
        ClaimcheckError: design, predictions or rule changed after the registration that stands.
    """
    registration = study.registration
    if registration is None or registration.digest is None:
        return
    now = digests.registration_digest(study)
    if registration.digest != now:
        raise ClaimcheckError(
            "design, predictions or rule are not those that were registered",
            where=f"{study.folder / 'registrations.yaml'}: {registration.number}.digest",
            found=now,
            expected=registration.digest,
            hint="take the change back, or register anew: " + register_command(study.name, config.studies_dir),
        )
