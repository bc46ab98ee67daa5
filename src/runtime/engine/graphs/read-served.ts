import { readFileSync } from 'node:fs';
import { readGraph } from '../onnx/graph.ts';
import { inFloat32 } from '../onnx/in-float32.ts';
import { type Windows, withMissingWindows } from '../onnx/missing-windows.ts';
import { withNormsApart } from '../onnx/norms-apart.ts';
import { withWholeCaches } from '../onnx/whole-caches.ts';

/**
 * The graph of a file in the form that is served, as the engine has it before it joins tables of positions.
 * @param windows of the model, as JSON, to be put into its graph where that lacks them
 */
export const readServed = (path: string, windows: string | undefined): Buffer =>
  withMissingWindows(
    inFloat32(readGraph(withNormsApart(withWholeCaches(readFileSync(path))))).model,
    windows === undefined ? undefined : (JSON.parse(windows) as Windows),
  );
