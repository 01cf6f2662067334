// Starts a UF2 file in rp2040js, as the RP2040's boot ROM does, and joins its RTT channels to standard input and output:
// what comes in goes to down channel 0, what the firmware writes to up channel 1 goes out.
//
//     node run.mjs FILE.uf2
//
// The boot ROM itself is not there. What it does with a program is done here: it takes blocks of its family alone, checks
// the checksum of the second stage, copies that to the end of RAM and calls it without a return address.

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import process from 'node:process';
import { pathToFileURL } from 'node:url';

const FLASH = 0x10000000;
const SRAM = 0x20000000;
const SECOND_STAGE = 0x20041f00;
const FAMILY = 0xe48bff56;
// A cycle, at the 125 MHz that rp2040js takes until a program sets a clock: its timers count cycles.
const NANOSECONDS = 8;

function fail(text) {
  process.stderr.write(`${text}\n`);
  process.exit(1);
}

// The package lies where `npm install` was run, which need not be here.
const require = createRequire(path.join(process.cwd(), 'package.json'));
const { RP2040 } = await import(pathToFileURL(require.resolve('rp2040js')).href);

const [file] = process.argv.slice(2);
const mcu = new RP2040();
mcu.logger = { debug() {}, info() {}, warn() {}, error() {} };
mcu.flash.fill(0xff);

const uf2 = readFileSync(file);
if (uf2.length % 512 !== 0) fail('no whole blocks of UF2');
const count = uf2.length / 512;
for (let number = 0; number < count; number += 1) {
  const block = uf2.subarray(512 * number, 512 * (number + 1));
  const word = (at) => block.readUInt32LE(at);
  if (word(0) !== 0x0a324655 || word(4) !== 0x9e5d5157 || word(508) !== 0x0ab16f30) fail(`block ${number}: magic`);
  if ((word(8) & 0x2000) === 0 || word(28) !== FAMILY) fail(`block ${number}: family`);
  if (word(16) !== 256 || word(12) % 256 !== 0) fail(`block ${number}: page`);
  if (word(20) !== number || word(24) !== count) fail(`block ${number}: number`);
  const place = word(12) - FLASH;
  if (place < 0 || place + 256 > 2 * 1024 * 1024) fail(`block ${number}: outside the Pico's flash`);
  mcu.flash.set(block.subarray(32, 32 + 256), place);
}

let crc = 0xffffffff;
for (const byte of mcu.flash.subarray(0, 252)) {
  crc = (crc ^ (byte << 24)) >>> 0;
  for (let bit = 0; bit < 8; bit += 1) crc = ((crc << 1) ^ (crc >>> 31 ? 0x04c11db7 : 0)) >>> 0;
}
if (crc !== mcu.flashView.getUint32(252, true)) fail('the second stage has a wrong checksum');
mcu.sram.set(mcu.flash.subarray(0, 256), SECOND_STAGE - SRAM);
mcu.core.reset();
mcu.core.SP = SECOND_STAGE;
mcu.core.LR = 0;
mcu.core.PC = SECOND_STAGE;

let input = Buffer.alloc(0);
let ended = false;
process.stdin.on('data', (data) => { input = Buffer.concat([input, data]); });
process.stdin.on('end', () => { ended = true; });

let control;
function find() {
  const at = Buffer.from(mcu.sram.buffer).indexOf('SEGGER RTT\0');
  if (at >= 0) control = at;
}
const word = (at) => mcu.sramView.getUint32(at, true);
const setWord = (at, value) => mcu.sramView.setUint32(at, value, true);

function transfer() {
  if (control === undefined) return;
  const ups = word(control + 16);
  const up = control + 24 + 24;
  let [buffer, size, write, read] = [4, 8, 12, 16].map((field) => word(up + field));
  if (ups < 2 || size === 0) return;
  const out = [];
  while (read !== write) {
    out.push(mcu.sram[buffer - SRAM + read]);
    read = (read + 1) % size;
  }
  if (out.length > 0) {
    setWord(up + 16, read);
    process.stdout.write(Buffer.from(out));
  }
  const down = control + 24 + 24 * ups;
  [buffer, size, write, read] = [4, 8, 12, 16].map((field) => word(down + field));
  let taken = 0;
  while (size > 0 && taken < input.length && (write + 1) % size !== read) {
    mcu.sram[buffer - SRAM + write] = input[taken];
    write = (write + 1) % size;
    taken += 1;
  }
  setWord(down + 12, write);
  input = input.subarray(taken);
}

let [instructions, cycles] = [0, 0];
function run() {
  for (let round = 0; round < 100; round += 1) {
    for (let n = 0; n < 2000; n += 1) {
      const taken = mcu.core.executeInstruction();
      instructions += 1;
      cycles += taken;
      mcu.clock.tick(taken * NANOSECONDS);
    }
    if (control === undefined) find();
    transfer();
  }
  if (ended) {
    process.stderr.write(`${instructions} instructions, ${cycles} cycles\n`);
    process.exit(0);
  }
  setImmediate(run);
}
run();
