// Compiles Chainlink's MockV3Aggregator as published: {"abi": ..., "bytecode": "0x..."} on stdout.
// node compile.js <a node_modules folder with @chainlink/contracts and solc>
"use strict";

const fs = require("fs");
const path = require("path");

const modules = path.resolve(process.argv[2]);
const solc = require(path.join(modules, "solc"));

const SOURCE = "@chainlink/contracts/src/v0.8/shared/mocks/MockV3Aggregator.sol";
const read = (name) => fs.readFileSync(path.join(modules, name), "utf8");

const input = {
  language: "Solidity",
  sources: { [SOURCE]: { content: read(SOURCE) } },
  settings: {
    evmVersion: "cancun",
    optimizer: { enabled: true },
    outputSelection: { [SOURCE]: { MockV3Aggregator: ["abi", "evm.bytecode.object"] } },
  },
};
const output = JSON.parse(
  solc.compile(JSON.stringify(input), { import: (name) => ({ contents: read(name) }) }),
);

const errors = (output.errors || []).filter((error) => error.severity === "error");
if (errors.length > 0) {
  console.error(errors.map((error) => error.formattedMessage).join("\n"));
  process.exit(1);
}
const { abi, evm } = output.contracts[SOURCE].MockV3Aggregator;
console.log(JSON.stringify({ abi, bytecode: "0x" + evm.bytecode.object }));
