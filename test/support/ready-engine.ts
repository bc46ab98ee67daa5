import { untilReady } from '../../src/runtime/base-model/until-ready.ts';
import {
  type EngineClient,
  type EngineOptions,
  startEngine,
} from '../../src/runtime/engine/client/client.ts';

/**
 * An engine process whose base model is loaded.
 * @throws those of the base model
 */
export const startReadyEngine = async (options: EngineOptions): Promise<EngineClient> => {
  const engine = startEngine(options);
  try {
    await untilReady(engine);
    return engine;
  } catch (error) {
    await engine.close();
    throw error;
  }
};
