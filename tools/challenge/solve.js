// Solves a challenge of the gatekeeper (reason CHALLENGE_REQUIRED), for the header Flashsale-Solution.
//
//   In a page or a worker:  <script src="solve.js"></script>, then solveChallenge(challenge) returns the solution. It computes until it is done: in a page,
//                           call it from a worker, or give it a budget (see below) and let the page breathe in between.
//   In Node:                const { solveChallenge } = require("./solve.js");  or  node solve.js CHALLENGE
//
// A challenge is "v1.DIFFICULTY.EXPIRY.NONCE.MAC"; a solution is the challenge, a dot and a decimal number, such that the SHA-256 of the whole text begins with
// DIFFICULTY zero bits. SHA-256 is done here: crypto.subtle answers by promise, which costs far more than the hash. No dependencies.
"use strict";

(function (root) {
  // The fractional parts of the cube roots and square roots of the first primes, as FIPS 180-4 defines them: computed, not listed.
  const K = new Uint32Array(64);
  const START = new Uint32Array(8);
  for (let candidate = 2, count = 0; count < 64; candidate++) {
    let prime = true;
    for (let d = 2; d * d <= candidate; d++) prime = prime && candidate % d !== 0;
    if (!prime) continue;
    if (count < 8) START[count] = fraction(Math.sqrt(candidate));
    K[count++] = fraction(Math.cbrt(candidate));
  }

  function fraction(x) {
    return Math.floor((x - Math.floor(x)) * 4294967296) >>> 0;
  }

  const W = new Uint32Array(64);

  // Mixes the 64 bytes at `at` into `state`.
  function compress(state, bytes, at) {
    for (let i = 0; i < 16; i++, at += 4) {
      W[i] = (bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3];
    }
    for (let i = 16; i < 64; i++) {
      const a = W[i - 15], b = W[i - 2];
      const s0 = ((a >>> 7) | (a << 25)) ^ ((a >>> 18) | (a << 14)) ^ (a >>> 3);
      const s1 = ((b >>> 17) | (b << 15)) ^ ((b >>> 19) | (b << 13)) ^ (b >>> 10);
      W[i] = (W[i - 16] + s0 + W[i - 7] + s1) | 0;
    }
    let a = state[0], b = state[1], c = state[2], d = state[3], e = state[4], f = state[5], g = state[6], h = state[7];
    for (let i = 0; i < 64; i++) {
      const s1 = ((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7));
      const t1 = (h + s1 + ((e & f) ^ (~e & g)) + K[i] + W[i]) | 0;
      const s0 = ((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10));
      const t2 = (s0 + ((a & b) ^ (a & c) ^ (b & c))) | 0;
      h = g; g = f; f = e; e = (d + t1) | 0; d = c; c = b; b = a; a = (t1 + t2) | 0;
    }
    state[0] += a; state[1] += b; state[2] += c; state[3] += d; state[4] += e; state[5] += f; state[6] += g; state[7] += h;
  }

  function leadingZeros(state) {
    let zeros = 0;
    for (let i = 0; i < 8; i++) {
      const zerosHere = Math.clz32(state[i]);
      zeros += zerosHere;
      if (zerosHere < 32) break;
    }
    return zeros;
  }

  // Whole blocks of the text that never change are mixed in once; only the last ones are done for each number.
  function Search(challenge) {
    const parts = challenge.split(".");
    if (parts.length !== 5 || parts[0] !== "v1" || !/^\d+$/.test(parts[1]) || !/^\d+$/.test(parts[2]) || Number(parts[1]) > 256 ||
        !/^[\x21-\x7e]{1,200}$/.test(challenge)) {
      throw new Error("no challenge of a kind that is known here: " + challenge.slice(0, 100));
    }
    this.challenge = challenge;
    this.difficulty = Number(parts[1]);
    this.expiresMs = Number(parts[2]) * 1000;
    this.next = 0;
    const text = challenge + ".";
    const fixed = text.length - (text.length % 64);
    this.length = text.length;
    this.before = Uint32Array.from(START);
    this.rest = new Uint8Array(192); // what is left of the text, the number, the padding
    for (let i = 0; i < fixed; i += 64) {
      compress(this.before, Uint8Array.from(text.slice(i, i + 64), (c) => c.charCodeAt(0)), 0);
    }
    for (let i = fixed; i < text.length; i++) this.rest[i - fixed] = text.charCodeAt(i);
    this.restLength = text.length - fixed;
    this.state = new Uint32Array(8);
  }

  Search.prototype.isSolvedBy = function (digits) {
    const rest = this.rest, used = this.restLength + digits.length, end = used + 9 > 64 ? (used + 9 > 128 ? 192 : 128) : 64;
    const bits = (this.length + digits.length) * 8; // below 2^16
    for (let i = 0; i < digits.length; i++) rest[this.restLength + i] = digits.charCodeAt(i);
    rest.fill(0, used, end);
    rest[used] = 0x80;
    rest[end - 2] = bits >>> 8;
    rest[end - 1] = bits & 255;
    this.state.set(this.before);
    for (let at = 0; at < end; at += 64) compress(this.state, rest, at);
    return leadingZeros(this.state) >= this.difficulty;
  };

  // Tries `budget` numbers more; null: none of them was it.
  Search.prototype.run = function (budget) {
    if (Date.now() >= this.expiresMs) throw new Error("it expired while it was being solved: ask again for a new one");
    for (let i = 0; i < budget; i++) {
      const digits = String(this.next++);
      if (this.isSolvedBy(digits)) return this.challenge + "." + digits;
    }
    return null;
  };

  function solveChallenge(challenge) {
    const search = new Search(challenge);
    for (;;) {
      const solution = search.run(65536);
      if (solution) return solution;
    }
  }

  // For pages without a worker: a promise, and the page goes on living meanwhile.
  async function solveChallengeGently(challenge) {
    const search = new Search(challenge);
    for (;;) {
      const solution = search.run(5000);
      if (solution) return solution;
      await new Promise((resolve) => setTimeout(resolve, 0));
    }
  }

  root.solveChallenge = solveChallenge;
  root.solveChallengeGently = solveChallengeGently;
  if (typeof module !== "undefined" && module.exports) module.exports = { solveChallenge, solveChallengeGently };
  if (typeof require !== "undefined" && typeof process !== "undefined" && require.main === module) {
    try {
      if (process.argv.length !== 3) throw new Error("usage: solve.js CHALLENGE");
      const help = process.argv[2] === "-h" || process.argv[2] === "--help";
      console.log(help ? "usage: solve.js CHALLENGE; prints the solution, for the header Flashsale-Solution" : solveChallenge(process.argv[2]));
    } catch (error) {
      console.error("solve.js: " + error.message);
      process.exit(1);
    }
  }
})(typeof globalThis !== "undefined" ? globalThis : this);
