import { expect, it } from 'vitest';
import { isLoopback } from './address.ts';

it.each([
  ['127.0.0.1:9000', true],
  ['127.1.2.3:0', true],
  ['localhost:9000', true],
  ['[::1]:9000', true],
  ['unix:/run/adaptlet.sock', true],
  ['0.0.0.0:9000', false],
  [':9000', false],
  ['[::]:9000', false],
  ['10.0.0.1:9000', false],
  ['127.example:9000', false],
])('%s is loopback: %s', (address, expected) => {
  expect(isLoopback(address)).toBe(expected);
});
