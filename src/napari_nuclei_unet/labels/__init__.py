"""Operations on label images: measurements, contours, editing."""
