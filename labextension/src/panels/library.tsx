// The library in the left sidebar.

import { ReactWidget, UseSignal } from '@jupyterlab/ui-components';
import type { ITranslator, TranslationBundle } from '@jupyterlab/translation';
import type { IDisposable } from '@lumino/disposable';
import type { Message } from '@lumino/messaging';
import * as React from 'react';

import { Library } from '../components/library';
import { normanIcon } from '../icons';
import type { ILibraryModel } from '../tokens';

/** Domain of this extension's translations. */
export const TRANSLATION_DOMAIN = 'norman_jupyter';

/** Shows a library model, and watches it while visible. */
export class LibraryPanel extends ReactWidget {
  constructor(model: ILibraryModel, translator: ITranslator) {
    super();
    this._model = model;
    this._trans = translator.load(TRANSLATION_DOMAIN);
    this.id = 'norman-library';
    this.addClass('norman-Library');
    this.title.icon = normanIcon;
    this.title.caption = this._trans.__('Norman models');
    this.node.setAttribute('role', 'region');
    this.node.setAttribute('aria-label', this._trans.__('Norman models'));
  }

  override dispose(): void {
    this._unwatch();
    super.dispose();
  }

  protected override onAfterShow(message: Message): void {
    super.onAfterShow(message);
    this._watch();
  }

  protected override onAfterAttach(message: Message): void {
    super.onAfterAttach(message);
    if (this.isVisible) {
      this._watch();
    }
  }

  protected override onBeforeHide(message: Message): void {
    this._unwatch();
    super.onBeforeHide(message);
  }

  protected override onBeforeDetach(message: Message): void {
    this._unwatch();
    super.onBeforeDetach(message);
  }

  protected override render(): React.JSX.Element {
    const model = this._model;
    return (
      <UseSignal signal={model.stateChanged}>
        {() => (
          <Library
            state={model.state}
            trans={this._trans}
            onRefresh={() => {
              void model.refresh();
            }}
            onShowMore={() => {
              void model.showMore();
            }}
          />
        )}
      </UseSignal>
    );
  }

  private _watch(): void {
    this._watching ??= this._model.watch();
  }

  private _unwatch(): void {
    this._watching?.dispose();
    this._watching = null;
  }

  private readonly _model: ILibraryModel;
  private readonly _trans: TranslationBundle;
  private _watching: IDisposable | null = null;
}
