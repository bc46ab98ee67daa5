import { Buffer } from 'node:buffer';

const zero = Buffer.from([0]);

/**
 * What a runtime signs that asks for a certificate of its request ports. `runtime`: namespace/name of its AdapterRuntime, so that what
 * one of them signed is nothing for another.
 */
export const servingStatement = (runtime: string, publicKey: Uint8Array): Buffer =>
  Buffer.concat([Buffer.from('adaptlet serve v1'), zero, Buffer.from(runtime, 'utf8'), zero, publicKey]);
