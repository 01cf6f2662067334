# Chooses the library for the board's processor, and how it passes floats.
import os

Import("env")  # noqa: F821

CORES = {
    "cortex-m0": "cortex-m0",
    "cortex-m0plus": "cortex-m0",
    "cortex-m1": "cortex-m0",
    "cortex-m3": "cortex-m3",
    "cortex-m4": "cortex-m4",
    "cortex-m7": "cortex-m4",
    "cortex-m23": "cortex-m23",
    "cortex-m33": "cortex-m33",
    "cortex-m55": "cortex-m55",
    "cortex-m85": "cortex-m55",
    "esp32c2": "rv32imc",
    "esp32c3": "rv32imc",
    "esp32c5": "rv32imac",
    "esp32c6": "rv32imac",
    "esp32h2": "rv32imac",
    "esp32p4": "rv32imafc",
}


def choose():
    board = env.BoardConfig()  # noqa: F821
    if env.get("PIOPLATFORM") == "native":  # noqa: F821
        return "host"
    for key in ("build.cpu", "build.mcu"):
        core = CORES.get(board.get(key, "").lower())
        if core is not None:
            break
    if core is None:
        return None
    flags = " ".join(str(flag) for flag in env.get("CCFLAGS", []))  # noqa: F821
    hard = "-mfloat-abi=hard" in flags
    return core + "hf" if hard and core.startswith("cortex") else core


core = choose()
folder = os.path.join(os.getcwd(), "lib", str(core))
if not os.path.isfile(os.path.join(folder, "libtinyspike.a")):
    raise SystemExit(
        "tinyspike has no library for this board in this export: run `tinyspike export` again with --core %s"
        % (core or "of another kind")
    )
env.Append(LIBPATH=[folder], LIBS=["tinyspike"])  # noqa: F821
