// The user's settings, from the registry to the model.

import type { ISettingRegistry } from '@jupyterlab/settingregistry';

import type { LibraryModel } from './models/library';

/** Used until the settings are read, and where there are none. */
export const DEFAULT_POLL_INTERVAL_S = 5;

/** Bring the settings to the model, now and whenever they change. */
export async function applySettings(
  registry: ISettingRegistry,
  id: string,
  model: Pick<LibraryModel, 'setPollInterval'>
): Promise<void> {
  let settings: ISettingRegistry.ISettings;
  try {
    settings = await registry.load(id);
  } catch (error) {
    console.error(`The settings of ${id} can't be read.`, error);
    return;
  }
  const apply = (): void => {
    const interval = settings.get('pollIntervalS').composite;
    if (typeof interval === 'number') {
      model.setPollInterval(interval);
    }
  };
  settings.changed.connect(apply);
  apply();
}
